import { Effect, Stream } from "effect"
import { LanguageModel, IdGenerator } from "effect/ai"
import { ResponseCache } from "holdfast/policy"
import * as RK from "../src/policy/RequestKey.ts"
import { AiSdk } from "holdfast/provider"
const prompt = "Which of these findings explains the patient's condition? ".repeat(18)
const answer = [ { type: "text", text: "The findings are best explained by the second one. ".repeat(20) }, { type: "finish", reason: "stop", usage: { inputTokens: { total: 240 }, outputTokens: { total: 220 } }, response: undefined } ] as any
const source = { name: "b", model: "m", settings: AiSdk.CurrentSettings as any, generateText: () => Effect.succeed(answer), streamText: () => Stream.empty }
const run = Effect.gen(function* () {
  let options: any
  const model = yield* LanguageModel.make({ generateText: (o) => Effect.sync(() => ((options = o), [])), streamText: () => Stream.empty })
  yield* model.generateText({ prompt })
  const cached = yield* ResponseCache.exact({ timeToLive: "1 hour" })(source as any)
  const t = (name: string, e: any) => Effect.gen(function* () {
    let best = Infinity
    for (let r = 0; r < 12; r++) { const s = performance.now(); for (let n = 0; n < 4000; n++) yield* e; best = Math.min(best, (performance.now() - s) / 4) }
    console.log(name, best.toFixed(2), "µs (best of rounds)")
  })
  yield* t("key", RK.keyOf(source as any, options))
  yield* t("hit", cached.generateText(options))
  yield* t("scoped", Effect.scoped(Effect.void))
})
await Effect.runPromise(run.pipe(Effect.scoped, Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)) as any)
