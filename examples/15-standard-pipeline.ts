// The standard pipeline with a fallback, and the trail that says what happened to a call.
//
// prints: first: call Failed, fallback Succeeded; CircuitOpened, FellBack
// prints: again: fallback Succeeded; FellBack
// prints: open circuits: first/gpt-5-mini
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { Console, Effect, Option } from "effect"
import { LanguageModel, type Response } from "effect/ai"
import { CallTrail } from "holdfast/core"
import { Model } from "holdfast/model"
import { Pipeline } from "holdfast/policy"
import { AiSdk } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import { FaultyServer } from "holdfast/testing"

const modelAt = (name: string, server: FaultyServer.FaultyServer) =>
  AiSdk.provider(createOpenAICompatible({ name, baseURL: `${server.origin}/v1` }).chatModel("gpt-5-mini"))

/** What was tried, and what policies decided. */
const told = (parts: ReadonlyArray<Response.AnyPart>): string => {
  const { attempts, decisions } = Option.getOrThrow(CallTrail.ofParts(parts))
  const tried = attempts.map(({ origin, outcome }) => `${origin} ${outcome._tag}`).join(", ")
  return `${tried}; ${decisions.map(({ decision }) => decision._tag).join(", ")}`
}

const program = Effect.gen(function* () {
  // Two real HTTP servers: the account at the first is used up.
  const first = yield* FaultyServer.make({ script: [{ fault: { is: "refuse", because: "quota exhausted" } }] })
  const spare = yield* FaultyServer.make()

  const model = Model.layer({
    provider: modelAt("first", first),
    policies: Pipeline.standard({ fallback: [modelAt("spare", spare)] })
  })
  const ask = LanguageModel.generateText({ prompt: "What holds kelp?" })
  yield* Effect.gen(function* () {
    yield* Console.log(`first: ${told((yield* ask).content)}`)
    yield* Console.log(`again: ${told((yield* ask).content)}`)
    const { policies } = yield* Model.health
    const circuits = policies.flatMap((policy) => (policy._tag === "CircuitBreaker" ? policy.circuits : []))
    const open = circuits.flatMap(({ key, state }) => (state === "open" ? [key] : []))
    yield* Console.log(`open circuits: ${open.join(", ")}`)
  }).pipe(Effect.provide(model))
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, Supervisor.layer())))
