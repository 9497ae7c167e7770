import { Effect } from "effect"

/**
 * A clock that stands still while the machine gives this thread no processor, which on a shared machine happens for
 * tens of milliseconds. Time in which the thread itself computes counts: of a gap only what it did not use is left out.
 */
let lostMillis = 0
let at = performance.now()
let used = process.threadCpuUsage()

/** Milliseconds since some moment, without those that were lost. */
export const now = (): number => {
  const gap = performance.now() - at
  const { system, user } = process.threadCpuUsage(used)
  if (gap > 2) lostMillis += Math.max(0, gap - (system + user) / 1_000 - 2)
  at = performance.now()
  used = process.threadCpuUsage()
  return at - lostMillis
}

/** Milliseconds that were lost so far. */
export const lost = (): number => lostMillis

setInterval(now, 1).unref()

/** Runs an effect and tells how many milliseconds it took, without those that were lost. */
export const timed = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<readonly [millis: number, answer: A], E, R> =>
  Effect.suspend(() => {
    const start = now()
    return Effect.map(self, (answer) => [now() - start, answer] as const)
  })
