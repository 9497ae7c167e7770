// A policy of your own: it turns prompts with keys away, says what it checked and why it refused, and shows its health.
//
// prints: what it did: [ { messages: 1 } ]
// prints: refused: the prompt holds a key { kind: 'aws' }, retryable false, after 1 request
// prints: its health: { checked: 2, turnedAway: 1 }, score 50
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { Console, Effect, Option, Stream } from "effect"
import { LanguageModel } from "effect/ai"
import { CallTrail, PolicyHealth, PolicyReason } from "holdfast/core"
import { Model } from "holdfast/model"
import { AiSdk, type ModelProvider } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import { FaultyServer } from "holdfast/testing"
import { inspect } from "node:util"

const own = { _tag: "Custom", policy: "keys" } as const

const noKeys: ModelProvider.Policy = (next) =>
  Effect.gen(function* () {
    const seen = { checked: 0, turnedAway: 0 }
    const score = () => 100 - Math.round((100 * seen.turnedAway) / Math.max(1, seen.checked))
    yield* PolicyHealth.register(Effect.sync(() => ({ ...own, facts: { ...seen }, score: score() })))

    const check = Effect.fnUntraced(function* ({ prompt }: LanguageModel.ProviderOptions) {
      const text = JSON.stringify(prompt.content)
      seen.checked++
      yield* CallTrail.record({ ...own, attempt: "next", facts: { messages: prompt.content.length } })
      if (!/AKIA[0-9A-Z]{16}/.test(text)) return
      seen.turnedAway++
      const reason = { description: "the prompt holds a key", retryable: false, facts: { kind: "aws" } }
      return yield* PolicyReason.toAiError(own.policy, { ...own, ...reason })
    })
    return {
      ...next,
      generateText: (request) => Effect.andThen(check(request), next.generateText(request)),
      streamText: (request) => Stream.unwrap(Effect.as(check(request), next.streamText(request)))
    }
  })

const program = Effect.gen(function* () {
  const server = yield* FaultyServer.make()
  const local = createOpenAICompatible({ name: "local", baseURL: `${server.origin}/v1` })
  const model = Model.layer({ provider: AiSdk.provider(local.chatModel("gpt-5-mini")), policies: [noKeys] })
  const ask = (prompt: string) => LanguageModel.generateText({ prompt })
  yield* Effect.gen(function* () {
    const trail = Option.getOrThrow(CallTrail.ofParts((yield* ask("What holds kelp?")).content))
    const did = trail.decisions.flatMap(({ decision }) => (decision._tag === "Custom" ? [decision.facts] : []))
    yield* Console.log(`what it did: ${inspect(did)}`)
    const error = yield* Effect.flip(ask("My key is AKIAABCDEFGHIJKLMNOP"))
    const reason = Option.getOrThrow(PolicyReason.of(error))
    const why = reason._tag === "Custom" ? `${reason.description} ${inspect(reason.facts)}` : reason._tag
    yield* Console.log(`refused: ${why}, retryable ${error.isRetryable}, after ${server.seen.calls} request`)
    const [health] = (yield* Model.health).policies
    if (health?._tag === "Custom") yield* Console.log(`its health: ${inspect(health.facts)}, score ${health.score}`)
  }).pipe(Effect.provide(model))
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, Supervisor.layer())))
