/**
 * Reads time that never steps back, in milliseconds: what every duration, limit, order and retention is measured by.
 *
 * The wall clock is corrected by hand, by time servers and after a machine slept; a duration measured on it can be
 * negative or hours too long. Only dates that people read or processes share, and cron, use the wall clock
 * (`Clock.currentTimeMillis`).
 *
 * The zero point is arbitrary: compare readings of one process only, and never store or send one.
 */
import { Clock, Context, Effect } from "effect"

const system = Context.get(Context.empty(), Clock.Clock)

const inMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000

// The system's clock is read without a bigint, which takes half as long, and from the same zero point.
const shift = inMillis(system) - performance.now()

/** What is left, in milliseconds, when sums of fractions were not exact: too little to sleep for, which may take no time at all. */
export const microsecond = 0.001

/** Reads the monotonic time of a clock, in milliseconds with a fraction. */
export const millisUnsafe = (clock: Clock.Clock): number =>
  clock === system ? performance.now() + shift : inMillis(clock)

/** Reads the monotonic time of the present fiber's `Clock`, in milliseconds with a fraction. */
export const millis: Effect.Effect<number> = Effect.clockWith((clock) => Effect.sync(() => millisUnsafe(clock)))

/**
 * Runs an effect whose `Clock` tells the monotonic time where it would tell the time of day: for what others wrote, and
 * measures durations by the wall clock.
 */
export const asTimeOfDay = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.updateService(self, Clock.Clock, steady)

const views = new WeakMap<Clock.Clock, Clock.Clock>()

const steady = (clock: Clock.Clock): Clock.Clock => {
  let view = views.get(clock)
  if (view === undefined) {
    view = viewOf(clock, () => millisUnsafe(clock))
    views.set(clock, view)
  }
  return view
}

/**
 * A clock whose date is the present one, and goes on by the monotonic time however the wall clock is set from now on: for what
 * others wrote, and measures durations and names times of day by one clock, as a `Schedule` does.
 */
export const goingOn = (clock: Clock.Clock): Clock.Clock => {
  const shift = clock.currentTimeMillisUnsafe() - millisUnsafe(clock)
  return viewOf(clock, () => Math.floor(millisUnsafe(clock) + shift + 1e-6))
}

const viewOf = (clock: Clock.Clock, now: () => number): Clock.Clock =>
  Object.create(clock, {
    currentTimeMillisUnsafe: { value: now },
    currentTimeMillis: { value: Effect.sync(now) },
    currentTimeNanosUnsafe: { value: () => clock.monotonicTimeNanosUnsafe() },
    currentTimeNanos: { value: clock.monotonicTimeNanos }
  }) as Clock.Clock
