/**
 * Tells the errors that an abort brings about from those of the work itself, which are to be reported.
 *
 * Work that is aborted rejects with the abort in some dress: its reason, an error of a library that names an abort, or what
 * this supervisor answers to a job that is ending. Each may be the cause of another error, or one of several.
 */
import * as CauseChain from "../../core/CauseChain.ts"
import { JobError } from "../JobError.ts"

/** Whether an error, thrown after an abort, says no more than that there was one. `reason` is that of the signal. */
export const is = (error: unknown, reason: unknown): boolean => isIn(error, reason, deepest)

/** Levels of errors in errors: `Promise.any` in `Promise.any`. */
const deepest = 3

const isIn = (error: unknown, reason: unknown, levels: number): boolean => {
  try {
    for (const each of CauseChain.of(error)) {
      if (each === reason || saysAbort(each) || saysEnding(each)) return true
      const several = severalOf(each)
      if (several.length > 0 && levels > 0 && several.every((one) => isIn(one, reason, levels - 1))) return true
    }
  } catch {
    // What cannot be read is something else.
  }
  return false
}

const saysAbort = (error: unknown): boolean => {
  if (typeof error !== "object" || error === null) return false
  const { code, constructor, message, name } = error as Readonly<Record<string, unknown>>
  if (error instanceof Error && message === interrupted) return true
  return [name, code, typeof constructor === "function" && constructor.name].some((word) => abortWords.has(word))
}

const abortWords = new Set<unknown>(["AbortError", "ABORT_ERR", "ERR_CANCELED", "CanceledError", "APIUserAbortError"])

/** What Effect rejects with when the `signal` of its `runPromise` aborts. It has no name of its own. */
const interrupted = "All fibers interrupted without error"

/** The supervisor starts nothing for a job that is ending, and ends what belongs to it. */
const saysEnding = (error: unknown): boolean => {
  if (error instanceof JobError) return endings.has(error.reason._tag)
  const policy = ["reason", "metadata", "holdfast", "_tag"].reduce<unknown>(field, error)
  return policy === "NotAccepted" || policy === "Cancelled"
}

const endings: ReadonlySet<JobError["reason"]["_tag"]> = new Set(["NotAccepting", "Cancelled"])

// A model's call says it as the reason of a policy.
const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined

/** The errors that one stands for: of `Promise.any`, and of a disposal that failed as its block did. */
const severalOf = (error: unknown): ReadonlyArray<unknown> => {
  if (error instanceof AggregateError) return error.errors
  return isSuppressed(error) ? [error.error, error.suppressed] : []
}

const isSuppressed = (error: unknown): error is { readonly error: unknown; readonly suppressed: unknown } =>
  error instanceof Error && error.name === "SuppressedError" && "suppressed" in error && "error" in error
