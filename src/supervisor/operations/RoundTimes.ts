/**
 * Says when the rounds of a periodic job begin: intervals and schedules on a clock that nobody sets, crons by the wall clock.
 */
import { type Cause, Clock, Cron, Duration, Effect, Schedule } from "effect"
import * as ClockKind from "../../core/ClockKind.ts"
import * as Monotonic from "../../core/Monotonic.ts"
import type { Options } from "./PeriodicOptions.ts"
import { changed, isOfEveryHour, SkippedSlots } from "./SkippedSlots.ts"

/** Waits until the next round is due, each time it is run; done when there is no further one. */
export type Next = Effect.Effect<unknown, Cause.Done<unknown>>

/** The longest time for which a cron goes without looking at the wall clock, which may have been set. */
const longestSleepMillis = 30_000

/** With a cron each round begins `putOffMillis` after its slot; with anything else the first does that, and the others follow it. */
export const make = (schedule: Options["schedule"], putOffMillis: number): Effect.Effect<Next> => {
  if (Schedule.isSchedule(schedule)) {
    return Effect.clockWith((clock) => {
      const steady = Effect.provideService(Clock.Clock, Monotonic.goingOn(clock))
      return Effect.map(steady(Schedule.toStepWithSleep(schedule as Schedule.Schedule<unknown>)), (next) =>
        steady(next(undefined))
      )
    })
  }
  return Cron.isCron(schedule)
    ? atSlots(inEachHour(schedule), putOffMillis)
    : atIntervals(Duration.toMillis(Duration.fromInputUnsafe(schedule)))
}

// Counted from the first round. Of rounds that are late only the latest begins, at once.
const atIntervals = (interval: number): Effect.Effect<Next> =>
  Effect.map(Monotonic.millis, (start) => {
    let due = start
    return Effect.flatMap(Monotonic.millis, (now) => {
      due += interval
      if (due < now) due += Math.floor((now - due) / interval) * interval
      return Effect.sleep(Math.max(0, due - now))
    })
  })

/**
 * When the clocks go back an hour comes twice. A cron of every hour begins its rounds in both, unless it says "later": it
 * tells how much time lies between them. Every other one names a time of day, which has its round once.
 */
const inEachHour = (cron: Cron.Cron): Cron.Cron => {
  if (!isOfEveryHour(cron) || cron.onDstOverlap !== "earlier") return cron
  return changed(cron, { onDstOverlap: "both" })
}

const atSlots = (cron: Cron.Cron, putOffMillis: number): Effect.Effect<Next> =>
  Effect.map(Clock.currentTimeMillis, (start) => {
    const slots = new CronSlots(cron)
    let earliest = start
    let due = slots.after(start)
    const next: Effect.Effect<void> = Effect.flatMap(Clock.currentTimeMillis, (now) => {
      earliest = Math.min(earliest, now)
      // Slots up to here are to have their round by now; those from before the start are nobody's.
      const reached = Math.max(earliest, now - putOffMillis)
      if (reached >= due) {
        slots.take(due)
        due = slots.after(reached)
        return Effect.void
      }
      // Earlier, when the clock was set back behind a slot that has had no round.
      due = Math.min(due, slots.after(reached))
      const left = due + putOffMillis - now
      const sleep = Effect.clockWith((clock) =>
        Effect.sleep(ClockKind.isMovedByHand(clock) ? left : Math.min(left, longestSleepMillis))
      )
      return Effect.andThen(sleep, next)
    })
    return next
  })

/** Slots that follow one another without one in between: the first and the last of them. */
interface Run {
  readonly from: number
  to: number
}

/** How many runs are kept: there is one more each time the clock was set. */
const maxRuns = 100

/** Keeps which slots of a cron have had their round, so that none has two when the clock is set back. */
class CronSlots {
  private readonly slots: SkippedSlots
  private readonly taken: Array<Run> = []

  constructor(cron: Cron.Cron) {
    this.slots = new SkippedSlots(cron)
  }

  /** The first slot after a moment that has had no round. */
  after(millis: number): number {
    let slot = this.slots.next(millis)
    for (let run = this.runOf(slot); run !== undefined; run = this.runOf(slot)) slot = this.slots.next(run.to)
    return slot
  }

  take(slot: number): void {
    const last = this.taken.at(-1)
    if (last !== undefined && this.slots.next(last.to) === slot) last.to = slot
    else if (this.taken.push({ from: slot, to: slot }) > maxRuns) this.taken.shift()
  }

  private runOf(slot: number): Run | undefined {
    return this.taken.find(({ from, to }) => from <= slot && slot <= to)
  }
}
