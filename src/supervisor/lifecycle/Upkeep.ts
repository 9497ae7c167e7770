/**
 * Looks after what nobody else would see: records that grow old while nothing happens, jobs that do not end, a wall clock that
 * was set, and a blocked event loop.
 */
import { Clock, Context, Duration, Effect } from "effect"
import * as ClockKind from "../../core/ClockKind.ts"
import type { Lifecycle } from "./Lifecycle.ts"
import type { Settings } from "./Settings.ts"
import * as StuckWarning from "./StuckWarning.ts"

/** Does it again and again in the present scope. Gives how late the last round was, in milliseconds. */
export const run = Effect.fnUntraced(function* (lifecycle: Lifecycle, settings: Settings) {
  let lagMillis = 0
  const every = Duration.toMillis(settings.upkeepEvery)
  const round = Effect.clockWith((clock) => {
    const isByHand = ClockKind.isMovedByHand(clock)
    if (isByHand && keepsNothing(lifecycle)) {
      return Effect.raceFirst(lifecycle.events.awaitNext, awaitEnding(lifecycle))
    }
    const millis = isByHand ? untilNeeded(lifecycle, settings, every) : every
    const due = lifecycle.now() + millis
    const look = Effect.suspend(() => {
      lagMillis = Math.max(0, lifecycle.now() - due)
      lifecycle.time.look()
      prune(lifecycle, settings)
      return StuckWarning.ofUpkeep(lifecycle, settings)
    })
    const next = Effect.andThen(pause(millis), look)
    // Who waits for others is seen to after these have ended, which is an event.
    const areWaiting = !lifecycle.table.ending.isEmpty && lifecycle.table.ending.sinceMillis === Infinity
    return isByHand && areWaiting ? Effect.raceFirst(next, lifecycle.events.awaitNext) : next
  })
  if (every < Infinity) yield* Effect.forkScoped(Effect.forever(round))
  return () => lagMillis
})

/** Drops the records, the results and what events carry that need not be kept any longer. */
export const prune = (lifecycle: Lifecycle, { retention }: Settings): void => {
  const now = lifecycle.now()
  lifecycle.table.prune(now)
  lifecycle.events.strip(now - retention.records.forMillis, (id, number) => lifecycle.table.isKept(id, number))
}

/** Whether there will be nothing to drop before something more has happened. */
const keepsNothing = ({ events, table }: Lifecycle): boolean =>
  table.dueMillis === Infinity && events.unstrippedSince === undefined && table.ending.isEmpty

const awaitEnding = ({ table }: Lifecycle): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const withdraw = table.ending.onNext(() => resume(Effect.void))
    return Effect.sync(withdraw)
  })

/** Until the round that will find something to drop, or to warn of. What ends meanwhile is not too old before then. */
const untilNeeded = (lifecycle: Lifecycle, { retention, stuckAfterMillis }: Settings, every: number): number => {
  const { forMillis } = retention.records
  const now = lifecycle.now()
  const due = Math.min(
    lifecycle.table.dueMillis,
    Math.max(now + 1, lifecycle.table.ending.sinceMillis + stuckAfterMillis),
    (lifecycle.events.unstrippedSince ?? Infinity) + forMillis,
    now + Math.min(forMillis, retention.results.forMillis)
  )
  return Math.max(1, Math.ceil((due - now) / every)) * every
}

const system = Context.get(Context.empty(), Clock.Clock)

/** The longest time a timer can be set for; a longer one would fire at once. */
const longestTimerMillis = 2 ** 31 - 1

// A process may end while it pauses: whoever has nothing else to do need not stay for upkeep. Only a clock that sleeps by
// the system's timers can hold a process; any other one, as that of a test, is followed.
const pause = (millis: number): Effect.Effect<void> =>
  Effect.clockWith((clock) => {
    if (clock.sleep !== system.sleep) return millis < Infinity ? Effect.sleep(millis) : Effect.never
    return Effect.callback<void>((resume) => {
      const rest = millis - longestTimerMillis
      // @effect-diagnostics-next-line globalTimersInEffect:off
      const timer = setTimeout(() => resume(rest > 0 ? pause(rest) : Effect.void), Math.min(millis, longestTimerMillis))
      // Absent where timers are numbers, as in browsers, which have no process to hold.
      timer.unref?.()
      return Effect.sync(() => clearTimeout(timer))
    })
  })
