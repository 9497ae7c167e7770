/**
 * What a circuit breaker costs a call, in CPU time: ours in memory, Effect's own around the same call, and cockatiel's
 * around a promise. The call itself does nothing; its own cost is in the first row of each kind.
 */
import { type CircuitBreakerPolicy, ConsecutiveBreaker, circuitBreaker, handleAll } from "cockatiel"
import { Effect, Layer, Stream } from "effect"
import { AiError, IdGenerator, type Response } from "effect/ai"
import { CircuitBreaker as Circuits } from "effect/persistence"
import { CircuitBreaker } from "../src/policy/index.ts"
import type { ModelProvider } from "../src/core/call/ModelProvider.ts"
import { asking } from "../test/policy/scripted.ts"
import type { Row } from "./measure/table.ts"

const calls = 100_000
const rounds = 5

const finish: Response.FinishPartEncoded = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 1 }, outputTokens: { total: 1 } },
  response: undefined
}
const delta: Response.TextDeltaPartEncoded = { type: "text-delta", id: "t", delta: "kelp " }
const chunks = 100

const answering = (answer: ModelProvider["generateText"]): ModelProvider => ({
  name: "bench",
  model: "m",
  generateText: answer,
  streamText: () =>
    Stream.fromIterable([...Array.from({ length: chunks }, () => delta), finish]).pipe(Stream.rechunk(1))
})
const well = answering(() => Effect.succeed([finish]))
const noQuota = AiError.make({ module: "bench", method: "call", reason: new AiError.QuotaExhaustedError({}) })

const repeat = (effect: Effect.Effect<unknown, unknown, IdGenerator.IdGenerator>, times: number) => {
  let done = 0
  return Effect.whileLoop({ while: () => done < times, body: () => Effect.ignore(effect), step: () => void done++ })
}

// Of several rounds the best, so that neighbours on the machine count least.
const measured = (name: string, effect: Effect.Effect<unknown, unknown, IdGenerator.IdGenerator>, times = calls) =>
  Effect.gen(function* () {
    yield* repeat(effect, times)
    let best = Infinity
    for (let round = 0; round < rounds; round++) {
      const start = process.cpuUsage()
      yield* repeat(effect, times)
      const { system, user } = process.cpuUsage(start)
      best = Math.min(best, (system + user) / times)
    }
    const row: Row = { call: name, "CPU µs": best }
    return row
  })

const cockatiel = async (breaker: CircuitBreakerPolicy | undefined) => {
  const work = async () => [finish]
  const round = async () => {
    for (let each = 0; each < calls; each++) await (breaker === undefined ? work() : breaker.execute(work))
  }
  await round()
  let best = Infinity
  for (let each = 0; each < rounds; each++) {
    const start = process.cpuUsage()
    await round()
    const { system, user } = process.cpuUsage(start)
    best = Math.min(best, (system + user) / calls)
  }
  return best
}

export const run: Effect.Effect<ReadonlyArray<Row>, unknown> = Effect.gen(function* () {
  const request = yield* asking("hello")
  const guarded = yield* CircuitBreaker.perModel()(well)
  const open = yield* CircuitBreaker.perModel()(answering(() => Effect.fail(noQuota)))
  yield* Effect.ignore(open.generateText(request))
  const stores = yield* Layer.build(Circuits.layerStoreMemory())
  const shared = yield* Effect.provideContext(CircuitBreaker.shared()(well), stores)
  const theirs = yield* Effect.provideContext(
    Circuits.make({ tripPolicy: Circuits.rate({ size: 20 }), openDuration: "5 seconds" }),
    stores
  )
  const drained = (provider: ModelProvider) => Stream.runDrain(provider.streamText(request))
  const policy = circuitBreaker(handleAll, { halfOpenAfter: 5_000, breaker: new ConsecutiveBreaker(5) })
  return [
    yield* measured(
      "no breaker",
      Effect.suspend(() => well.generateText(request))
    ),
    yield* measured(
      "CircuitBreaker.perModel, closed",
      Effect.suspend(() => guarded.generateText(request))
    ),
    yield* measured(
      "CircuitBreaker.shared over a memory store",
      Effect.suspend(() => shared.generateText(request)),
      50_000
    ),
    yield* measured(
      "Effect's CircuitBreaker.execute",
      theirs.execute(
        Effect.suspend(() => well.generateText(request)),
        { key: "k" }
      )
    ),
    yield* measured(
      "CircuitBreaker.perModel, open",
      Effect.suspend(() => open.generateText(request)),
      20_000
    ),
    yield* measured(
      `stream of ${chunks} chunks, no breaker`,
      Effect.suspend(() => drained(well)),
      2_000
    ),
    yield* measured(
      `stream of ${chunks} chunks, CircuitBreaker.perModel`,
      Effect.suspend(() => drained(guarded)),
      2_000
    ),
    { call: "promise, no breaker", "CPU µs": yield* Effect.promise(() => cockatiel(undefined)) },
    { call: "promise, cockatiel's circuitBreaker", "CPU µs": yield* Effect.promise(() => cockatiel(policy)) }
  ]
}).pipe(Effect.scoped, Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator))
