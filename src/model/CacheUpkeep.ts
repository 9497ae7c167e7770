/**
 * Looks after a response cache in the background, by periodic jobs of the supervisor: drops what nobody needs, keeps
 * wanted answers fresh, and carries the cache over a restart.
 */
import { Cause, type Duration, Effect, Exit, type FileSystem, type PlatformError, type Scope } from "effect"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as ResponseCache from "../policy/ResponseCache.ts"
import * as Job from "../supervisor/Job.ts"
import type { JobError } from "../supervisor/JobError.ts"
import * as Supervisor from "../supervisor/Supervisor.ts"

export interface Options<E = never, R = never> {
  /** How often answers that have expired are dropped from memory. Default 1 minute. */
  readonly evictEvery?: Duration.Input | undefined
  /** Drops answers nobody used for so long, too. Default: they stay until there is no room. */
  readonly unusedFor?: Duration.Input | undefined
  /** Keeps what is in memory in a file. Default: not at all. */
  readonly snapshot?:
    | {
        readonly path: string
        /** Default 5 minutes. */
        readonly every?: Duration.Input | undefined
      }
    | undefined
  /** Calls whose answers are always to be there. Default: none. */
  readonly warm?:
    | {
        readonly calls: ReadonlyArray<Effect.Effect<unknown, E, R>>
        /** Each is made again when its answer would not live until the next round. Default 5 minutes. */
        readonly every?: Duration.Input | undefined
        /** Calls at the same time. Default 1. */
        readonly concurrency?: number | undefined
      }
    | undefined
}

export const defaults = { evictEvery: "1 minute", snapshotEvery: "5 minutes", warmEvery: "5 minutes" } as const

/**
 * Starts the jobs, which end with the scope. A failed round is recorded like any failed job, and the next one comes all
 * the same.
 *
 * A snapshot is read before the first job starts, and written once more when the scope closes. A file that cannot be
 * opened fails with a `PlatformError`: it would be lost to the next write.
 */
export const run = <E = never, R = never>(
  cache: ResponseCache.ResponseCache,
  options: Options<E, R> = {}
): Effect.Effect<
  ReadonlyArray<Job.Job<void, never>>,
  JobError | PlatformError.PlatformError,
  Supervisor.Supervisor | FileSystem.FileSystem | Scope.Scope | Exclude<R, Scope.Scope>
> => {
  const check = OptionCheck.of("CacheUpkeep")
  check.fields(options, fields)
  const { evictEvery = defaults.evictEvery, snapshot, unusedFor, warm } = options
  check.millis("evictEvery", evictEvery)
  if (unusedFor !== undefined) check.millis("unusedFor", unusedFor, { atLeast: 0 })
  if (snapshot !== undefined) {
    check.fields(snapshot, { path: true, every: true }, "snapshot")
    check.label("snapshot.path", snapshot.path)
    check.millis("snapshot.every", snapshot.every ?? defaults.snapshotEvery)
  }
  if (warm !== undefined) {
    check.fields(warm, { calls: true, every: true, concurrency: true }, "warm")
    check.list("warm.calls", warm.calls)
    for (const call of warm.calls) if (!Effect.isEffect(call)) check.reject("warm.calls", "a list of Effects", call)
    check.millis("warm.every", warm.every ?? defaults.warmEvery)
  }
  const concurrency = check.whole("warm.concurrency", warm?.concurrency ?? 1, 1)
  const evict = cache.evict({ unusedFor })
  return Effect.gen(function* () {
    if (snapshot !== undefined) {
      const { path } = snapshot
      yield* cache.load(path)
      yield* Effect.addFinalizer(() =>
        Effect.catch(cache.save(path), (error) => Effect.logWarning(`the cache was not written to ${path}`, error))
      )
    }
    const jobs = [yield* every(evict, "cache eviction", evictEvery)]
    if (snapshot !== undefined) {
      jobs.push(yield* every(cache.save(snapshot.path), "cache snapshot", snapshot.every ?? defaults.snapshotEvery))
    }
    if (warm !== undefined) {
      const interval = warm.every ?? defaults.warmEvery
      const { calls } = warm
      const round = Effect.forEach(calls, (call) => Effect.exit(ResponseCache.warm(interval)(call)), { concurrency })
      jobs.push(yield* every(Effect.flatMap(round, failOnce), "cache warming", interval))
    }
    return jobs
  })
}

const fields: OptionCheck.Fields<Options> = { evictEvery: true, unusedFor: true, snapshot: true, warm: true }

const every = <A, E, R>(round: Effect.Effect<A, E, R>, name: string, schedule: Duration.Input) =>
  Effect.acquireRelease(Supervisor.every(round, { name, schedule }), (job) =>
    Job.cancel(job, { reason: "the upkeep of its cache ended" })
  )

/** All calls of a round are made; one failure is enough for it to count as failed. */
const failOnce = <E>(exits: ReadonlyArray<Exit.Exit<unknown, E>>): Effect.Effect<void, E> => {
  const causes = exits.flatMap((exit) => (Exit.isFailure(exit) ? [exit.cause] : []))
  return causes.length === 0 ? Effect.void : Effect.failCause(causes.reduce(Cause.combine))
}
