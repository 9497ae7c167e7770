/**
 * Says in a word how a run, or a part of it, ended.
 */
import { Cause, Exit, Predicate } from "effect"
import { JobError } from "../../supervisor/JobError.ts"
import * as SeededScheduler from "../SeededScheduler.ts"

/** How something ended, in a word: `success`, `interrupt`, `die`, the error, or the tag of a `JobError`'s reason. */
export type Ending = string

/** How an exit is called in a trace. */
export const endingOf = (exit: Exit.Exit<unknown, unknown>): Ending => {
  if (Exit.isSuccess(exit)) return "success"
  const [first] = exit.cause.reasons
  if (first === undefined || Cause.isInterruptReason(first)) return "interrupt"
  if (Cause.isDieReason(first)) return "die"
  const { error } = first
  if (error instanceof JobError) return error.reason._tag
  if (error instanceof SeededScheduler.Deadlock || error instanceof SeededScheduler.Endless) return error._tag
  return Predicate.isString(error) ? error : "error"
}
