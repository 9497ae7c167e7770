/**
 * Says in a word how a run, or a part of it, ended.
 */
import { Cause, Exit, Predicate } from "effect"
import * as SafeText from "../../core/SafeText.ts"
import { JobError } from "../../supervisor/JobError.ts"
import * as SeededScheduler from "../SeededScheduler.ts"

/** How something ended, in a word: `success`, `interrupt`, `die`, the error, or the tag of a `JobError`'s reason. */
export type Ending = string

/**
 * How an exit is called in a trace. Of several reasons an error counts most, then a defect: a promise is rejected with the same
 * one.
 */
export const endingOf = (exit: Exit.Exit<unknown, unknown>): Ending => {
  if (Exit.isSuccess(exit)) return "success"
  const { reasons } = exit.cause
  const failed = reasons.find(Cause.isFailReason)
  if (failed === undefined) return reasons.some(Cause.isDieReason) ? "die" : "interrupt"
  const { error } = failed
  if (error instanceof JobError) return error.reason._tag
  if (error instanceof SeededScheduler.Deadlock || error instanceof SeededScheduler.Endless) return error._tag
  return Predicate.isString(error) ? error : "error"
}

/** How a whole run ended; of one that died, what with. */
export const endingOfRun = (exit: Exit.Exit<unknown, unknown>): Ending => {
  const ending = endingOf(exit)
  return ending === "die" && Exit.isFailure(exit) ? `die: ${SafeText.inLine(SafeText.ofCause(exit.cause))}` : ending
}
