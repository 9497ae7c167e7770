/**
 * Goes from an error to what it was caused by, and so on: libraries, and a `catch` in an async function, dress an error up in
 * one of their own.
 */

/** So many causes are looked at: a chain may go round in a circle. */
const longest = 8

/** An error, its cause, the cause of that, … Never throws, whatever they are. */
export function* of(error: unknown): Generator<unknown> {
  let next = error
  for (let n = 0; n <= longest && next !== undefined; n++) {
    yield next
    next = causeOf(next)
  }
}

const causeOf = (error: unknown): unknown => {
  if (typeof error !== "object" || error === null) return undefined
  try {
    return Reflect.get(error, "cause")
  } catch {
    return undefined
  }
}
