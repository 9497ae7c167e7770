/**
 * Keeps those who wait for room in the queue, in the order in which they came.
 */
import { Effect } from "effect"
import { JobError } from "./JobError.ts"
import type { JobRecord } from "./records/JobRecord.ts"

/** How a waiting submit is accepted, once it may be. */
type Accept = () => JobRecord | JobError

interface Entering {
  readonly accept: Accept
  readonly resume: (result: Effect.Effect<JobRecord, JobError>) => void
}

export class Entrance {
  private readonly entering = new Set<Entering>()

  get isEmpty(): boolean {
    return this.entering.size === 0
  }

  /**
   * Waits until let in. `limit`, called once the wait has begun, may start a timer that calls `late`, which fails the wait
   * unless it was let in first; what `limit` returns is called when the wait is over. Giving up withdraws.
   */
  wait(accept: Accept, refusal: JobError, limit: (late: () => void) => () => void): Effect.Effect<JobRecord, JobError> {
    return Effect.callback((resume) => {
      const entry: Entering = {
        accept,
        resume: (result) => {
          stop()
          resume(result)
        }
      }
      this.entering.add(entry)
      const stop = limit(() => {
        if (this.entering.delete(entry)) entry.resume(Effect.fail(refusal))
      })
      return Effect.sync(() => {
        this.entering.delete(entry)
        stop()
      })
    })
  }

  /** Lets in one after the other for as long as `mayEnter` says so. */
  letIn(mayEnter: () => boolean): void {
    for (const entry of this.entering) {
      if (!mayEnter()) return
      this.entering.delete(entry)
      const result = entry.accept()
      entry.resume(result instanceof JobError ? Effect.fail(result) : Effect.succeed(result))
    }
  }
}
