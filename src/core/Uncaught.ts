/**
 * Runs callbacks that may throw, so that one that throws holds up none of the others.
 *
 * The error belongs to the callback's owner, and is thrown by itself afterwards: the process hears of it as it hears of
 * every error that nobody catches.
 */

export const run = (callback: () => void): void => {
  try {
    callback()
  } catch (error) {
    throwLater(error)
  }
}

/** Throws what a callback threw by itself, in a turn of its own. */
export const throwLater = (error: unknown): void => {
  queueMicrotask(() => {
    throw error
  })
}

/** Runs all of them, whichever throws. */
export const runAll = (callbacks: Iterable<() => void>): void => {
  for (const callback of callbacks) run(callback)
}
