/**
 * Closes a supervisor: interrupts every job and waits until all have ended.
 *
 * A job that closes its own supervisor cannot be waited for, nor can those that own it or wait for it: none of them ends
 * before closing has. They are interrupted all the same, and end next.
 */
import { Effect } from "effect"
import * as SafeText from "../../core/SafeText.ts"
import * as StuckWarning from "../lifecycle/StuckWarning.ts"
import type { Lifecycle } from "../lifecycle/Lifecycle.ts"
import * as Waiters from "../lifecycle/Waiters.ts"
import type { Settings } from "../lifecycle/Settings.ts"
import { CurrentJob, type JobRecord } from "../records/JobRecord.ts"
import { awaitOthers } from "./Drain.ts"

export const close = (lifecycle: Lifecycle, { stuckAfterMillis }: Settings): Effect.Effect<void> =>
  Effect.flatMap(CurrentJob, (current) => {
    const look = () => Waiters.withAllBehind(current?.supervision === lifecycle ? [current] : [])
    lifecycle.refuse("closed")
    const ended = Effect.andThen(awaitOthers(lifecycle, look), lifecycle.hook.close)
    return Effect.uninterruptible(
      Effect.andThen(
        StuckWarning.during(ended, stuckAfterMillis, () => whoKeepsIt(lifecycle, look())),
        Effect.sync(() => closeEvents(lifecycle, look()))
      )
    )
  })

// Nothing more is told once the last of those has ended that end next.
const closeEvents = (lifecycle: Lifecycle, closing: Iterable<JobRecord>): void => {
  const next = Array.from(closing).find(({ endedAtMillis }) => endedAtMillis === undefined)
  if (next === undefined) lifecycle.close()
  else next.onEnd(() => closeEvents(lifecycle, closing))
}

const whoKeepsIt = (lifecycle: Lifecycle, closing: ReadonlySet<JobRecord>): string => {
  const names: Array<string> = []
  let others = 0
  for (const record of lifecycle.table.liveRecords) {
    if (closing.has(record)) continue
    if (names.length < maxNamed) names.push(SafeText.inLine(`${record.name} (${record.id})`))
    else others++
  }
  if (names.length === 0) return "the supervisor closes, and waits for its failure hook"
  const more = others === 0 ? "" : ` and ${others} more`
  return `the supervisor closes, and waits for jobs that ignore their interruption: ${names.join(", ")}${more}. A promise that waits for the closing of its own supervisor never settles`
}

const maxNamed = 5
