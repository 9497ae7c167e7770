/**
 * Runs one claim of a job by what its definition says, and tells the store how it ended.
 */
import { Cause, Clock, Effect, type Exit, type Schedule } from "effect"
import * as SafeText from "../../core/SafeText.ts"
import type { JobError } from "../../supervisor/JobError.ts"
import type { DurableJobError, Undecodable } from "../DurableJobError.ts"
import type { Claim, Outcome, Store } from "../JobStore.ts"
import type { JobStoreError } from "../JobStoreError.ts"
import * as Delay from "./Delay.ts"
import type { Texts } from "./Texts.ts"

/** Runs work as a job of the supervisor, and gives how it ended. */
export type Run<R> = <A, E>(work: Effect.Effect<A, E, R>) => Effect.Effect<Exit.Exit<A, E | JobError>, JobError>

/** What a worker needs to run the jobs of one name. */
export interface Handler<R> {
  readonly name: string
  readonly execute: (claim: Claim, run: Run<R>, store: Store) => Effect.Effect<Outcome, JobError | JobStoreError>
}

/** What a handler is told of its run. */
export interface Attempt<G> {
  readonly id: string
  /** 1 for the first attempt, also when earlier ones were given back. */
  readonly attempt: number
  /** Keeps how far the job is. A report that cannot be kept is logged, and lost. */
  readonly report: (progress: G) => Effect.Effect<void>
}

/** The forms of what is kept of a job. */
export interface Forms<P, A, E, G> {
  readonly payload: Texts<P>
  readonly success: Texts<A>
  readonly error: Texts<E>
  readonly progress: Texts<G>
  readonly attempts: Schedule.Schedule<unknown, E> | undefined
}

export const make = <P, A, E, G, R>(
  name: string,
  forms: Forms<P, A, E, G>,
  handle: (payload: P, attempt: Attempt<G>) => Effect.Effect<A, E, R>
): Handler<R> => ({
  name,
  execute: (claim, run, store) =>
    Effect.gen(function* (): Effect.fn.Return<Outcome, JobError | JobStoreError | DurableJobError> {
      const { id } = claim.job
      const report = (progress: G) =>
        Effect.flatMap(forms.progress.encode(id, progress), (value) =>
          store.record(claim.token, [{ _tag: "Progress", value }])
        ).pipe(
          Effect.asVoid,
          Effect.catch((error) => Effect.logWarning("progress of a durable job was not kept", error))
        )
      const work = Effect.flatMap(forms.payload.decode(id, claim.payload), (payload) =>
        // A failure of the job is told apart from one that says why it did not run.
        Effect.mapError(handle(payload, { id, attempt: claim.job.attempt, report }), (error) => new Own(error))
      )
      const exit = yield* run(work)
      if (exit._tag === "Success") return { _tag: "Completed", result: yield* forms.success.encode(id, exit.value) }
      const [reason] = exit.cause.reasons
      if (reason === undefined || !Cause.isFailReason(reason)) return crashed(SafeText.ofCause(exit.cause))
      const { error } = reason
      if (error instanceof Own) return yield* failed(claim, forms, error.error, store)
      if (error._tag === "DurableJobError") return misfit(error)
      if (error.reason._tag === "Cancelled") return { _tag: "Cancelled", reason: error.reason.reason }
      return crashed(error.message)
    }).pipe(
      // A result that has no form to be kept in is the job's fault, and not a reason to run it again.
      Effect.catchTag("DurableJobError", (error) => Effect.succeed(misfit(error)))
    )
})

/** What the job itself failed with. */
class Own<E> {
  readonly error: E
  constructor(error: E) {
    this.error = error
  }
}

/** How a failure is kept. */
export type Kept =
  | { readonly is: "error"; readonly text: string }
  | { readonly is: "misfit"; readonly what: Undecodable["what"]; readonly problem: string }
  | { readonly is: "crash"; readonly problem: string }

const failure = (kept: Kept): Outcome => ({ _tag: "Failed", error: JSON.stringify(kept) })
/** A run that ended by a bug, or by what is nobody's error. */
export const crashed = (problem: string): Outcome => failure({ is: "crash", problem })
const misfit = ({ message, reason }: DurableJobError): Outcome =>
  reason._tag === "Undecodable"
    ? failure({ is: "misfit", what: reason.what, problem: reason.problem })
    : crashed(message)

const failed = <P, A, E, G>(
  { job: { id } }: Claim,
  { attempts, error: texts }: Forms<P, A, E, G>,
  error: E,
  store: Store
) =>
  Effect.gen(function* () {
    const kept: Kept = { is: "error", text: yield* texts.encode(id, error) }
    if (attempts === undefined) return failure(kept)
    const now = yield* Clock.currentTimeMillis
    const failures: Array<Delay.Failure<E>> = []
    for (const attempt of yield* store.attempts(id)) {
      // What was before the job was queued again does not count.
      if (attempt.attempt === 1) failures.length = 0
      if (attempt.outcome !== "RetryAt" || attempt.error === undefined) continue
      const { text } = JSON.parse(attempt.error)
      failures.push({ atMillis: attempt.endedAtMillis ?? now, error: yield* texts.decode(id, text) })
    }
    const delay = yield* Delay.after(attempts, [...failures, { atMillis: now, error }])
    return delay === undefined
      ? failure(kept)
      : ({ _tag: "RetryAt", error: JSON.stringify(kept), atMillis: now + delay } as const)
  })
