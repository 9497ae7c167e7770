/**
 * Holds jobs between the moment they are accepted and the moment they need not be known any longer: the seam behind which
 * durable jobs are kept.
 *
 * A worker claims jobs and has a token for each claim. It renews its claims while they run, records what they say, and settles
 * them when they end. A worker that is not heard of for one `lease` has lost its claims: the jobs wait for another one, and its
 * tokens are worth nothing from the next claim on. So a job may be started more than once, and it ends once.
 *
 * Whether a store of your own keeps these promises, `JobStoreLaws` of `holdfast/testing` tries.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect, Option } from "effect"
 * import { JobStore } from "holdfast/durable"
 *
 * const program = Effect.gen(function* () {
 *   const store = yield* JobStore.JobStore
 *   const [job] = yield* store.submit([{ name: "mail", payload: JSON.stringify({ to: "ada" }) }])
 *   const [claim] = yield* store.claim({ worker: "w-1", slots: 1, names: [{ name: "mail" }] })
 *   if (job === undefined || claim === undefined) return
 *   yield* store.settle([{ token: claim.token, outcome: { _tag: "Completed", result: `"sent"` } }])
 *   return Option.getOrUndefined(yield* store.get(job.id))?.result
 * })
 *
 * await Effect.runPromise(Effect.provide(program, JobStore.layerMemory())) // => '"sent"'
 * ```
 */
import { Context, Effect, Layer, PubSub } from "effect"
import * as OptionCheck from "../core/OptionCheck.ts"
import { Closed, JobStoreError } from "./JobStoreError.ts"
import type { Store } from "./store/Contract.ts"
import { Core } from "./store/Core.ts"
import { MemoryTable } from "./store/MemoryTable.ts"
import * as Service from "./store/Service.ts"
import { fields, type Options, settingsOf } from "./store/Settings.ts"

export type { Retention, Store } from "./store/Contract.ts"
export type * from "./store/Job.ts"
export { defaults, type Options } from "./store/Settings.ts"

/** Keeps jobs, says who may run which, and keeps what became of them. */
export class JobStore extends Context.Service<JobStore, Store>()("holdfast/durable/JobStore") {}

/**
 * Keeps jobs in memory, for as long as its scope lasts: for tests, and for work that may be lost.
 *
 * Lists and counts look at every job. A claim looks at every key that has jobs waiting.
 */
export const layerMemory = (options: Options = {}): Layer.Layer<JobStore> => {
  OptionCheck.of("JobStore.layerMemory").fields(options, fields)
  const settings = settingsOf("JobStore.layerMemory", options)
  return Layer.effect(
    JobStore,
    Effect.gen(function* () {
      const core = new Core(new MemoryTable(), settings)
      const signals = yield* Effect.acquireRelease(Service.makeSignals, PubSub.shutdown)
      const host: Service.Host = {
        name: "memory",
        ask: (operation) =>
          Effect.suspend(() => {
            if (PubSub.isShutdownUnsafe(signals)) {
              return Effect.fail(new JobStoreError({ store: "memory", reason: new Closed() }))
            }
            const answer = core.apply(operation)
            for (const signal of core.takeSignals()) PubSub.publishUnsafe(signals, signal)
            return Effect.succeed(answer)
          })
      }
      return Service.make(host, signals, settings.maxTextBytes)
    })
  )
}
