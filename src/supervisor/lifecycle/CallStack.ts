/**
 * Bounds how many calls start inside each other in one turn of the event loop, for the stack ends.
 */

// Of all supervisors, which share one stack.
let depth = 0
const maxDepth = 20

/** Runs `begin` here and now; `later` instead when too many that were begun like this are still on the stack. */
export const begin = (begin: () => void, later: () => void): void => {
  if (depth >= maxDepth) return later()
  depth++
  try {
    begin()
  } finally {
    depth--
  }
}
