/**
 * Logs what failed, once with each logger, whatever the failure and the loggers are.
 *
 * A logger that cannot print the cause (the `message` of an error may throw, a chain of causes may be too deep) is given a
 * text of it instead. One that throws for that too is itself recorded, as an event, and keeps no other from its turn.
 */
import { Cause, Effect, Exit, Logger, References } from "effect"
import * as SafeText from "../../core/SafeText.ts"
import type { JobRecord } from "../records/JobRecord.ts"
import type { Outcome } from "../records/Outcome.ts"

/**
 * Whether an end is a failure to report. A cancellation alone is none; one whose finalizers failed is. A call's failure is
 * its caller's to handle: it is recorded, counted and emitted, but not logged as nobody's.
 */
export const isReported = (record: JobRecord, outcome: Outcome): boolean => outcome.isFailure && record.kind !== "call"

/** Logs how a job ended, if that is to be reported. */
export const end = (record: JobRecord, outcome: Outcome): Effect.Effect<void> =>
  isReported(record, outcome) && Exit.isFailure(outcome.exit)
    ? write(record, "job failed", outcome.exit.cause)
    : Effect.void

/** Logs a message about a job with the cause of a failure, as an error. */
export const write = (record: JobRecord, message: string, cause: Cause.Cause<unknown>): Effect.Effect<void> => {
  const facts = { jobId: record.id, jobName: record.name, jobAttempt: record.attempt }
  return Effect.flatMap(Effect.service(References.CurrentLoggers), (loggers) =>
    Effect.logError(message, cause).pipe(
      Effect.annotateLogs(facts),
      Effect.provideService(References.CurrentLoggers, new Set(Array.from(loggers, (each) => careful(each, record))))
    )
  )
}

/** Logs a warning that belongs to no job. A logger that throws keeps neither the others nor the caller from going on. */
export const warn = (message: string): Effect.Effect<void> =>
  Effect.flatMap(Effect.service(References.CurrentLoggers), (loggers) =>
    Effect.provideService(
      Effect.logWarning(message),
      References.CurrentLoggers,
      new Set(Array.from(loggers, forgiving))
    )
  )

const forgiving = (logger: Logger.Logger<unknown, unknown>): Logger.Logger<unknown, void> =>
  Logger.make((options) => {
    try {
      logger.log(options)
    } catch {
      // Whoever is warned of is told by an error of its own.
    }
  })

const careful = (logger: Logger.Logger<unknown, unknown>, record: JobRecord): Logger.Logger<unknown, void> =>
  Logger.make((options) => {
    try {
      if (isDeep(options.cause)) print(logger, options)
      else logger.log(options)
    } catch {
      try {
        print(logger, options)
      } catch (thrown) {
        record.supervision.emit(record, { _tag: "FailureLogFailed", cause: Cause.die(thrown) })
      }
    }
  })

const print = (logger: Logger.Logger<unknown, unknown>, options: Logger.Options<unknown>): void => {
  const messages = Array.isArray(options.message) ? options.message : [options.message]
  const message = [...messages, SafeText.ofCause(options.cause)]
  logger.log({ ...options, message, cause: Cause.empty })
}

/** Whether an error has more causes than a person reads: a logger would print them all, one inside the other. */
const isDeep = (cause: Cause.Cause<unknown>): boolean => {
  for (const reason of cause.reasons) {
    let error: unknown = Cause.isFailReason(reason)
      ? reason.error
      : Cause.isDieReason(reason)
        ? reason.defect
        : undefined
    for (let depth = 0; error instanceof Error; depth++) {
      if (depth === deepest) return true
      error = error.cause
    }
  }
  return false
}

const deepest = 100
