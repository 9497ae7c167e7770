/**
 * Says why a batch run could not start or had to stop: one error with a typed reason, and exit code 2.
 *
 * What goes wrong with a single request is no `BatchError`: it is written to the errors file, and the run goes on.
 */
import { Runtime, Schema } from "effect"
import type { PlatformError } from "effect"
import { CliError } from "effect/cli"

/** The options contradict each other or lack something. */
export class Misused extends Schema.TaggedError<Misused>()("Misused", { problem: Schema.String }) {
  override get message(): string {
    return this.problem
  }
}

/** The input cannot be read. */
export class InputUnreadable extends Schema.TaggedError<InputUnreadable>()("InputUnreadable", {
  path: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `cannot read ${this.path}: ${this.problem}`
  }
}

/** A file of the run cannot be written; what was written before is complete. */
export class OutputUnwritable extends Schema.TaggedError<OutputUnwritable>()("OutputUnwritable", {
  path: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `cannot write ${this.path}: ${this.problem}`
  }
}

/** A file to write exists and is not of a batch run, so it is left alone. */
export class OutputForeign extends Schema.TaggedError<OutputForeign>()("OutputForeign", { path: Schema.String }) {
  override get message(): string {
    return `${this.path} exists and its first line is not a batch result: choose another file`
  }
}

/** Another run writes the same output. */
export class OutputLocked extends Schema.TaggedError<OutputLocked>()("OutputLocked", {
  path: Schema.String,
  lock: Schema.String,
  pid: Schema.Int
}) {
  override get message(): string {
    return `process ${this.pid} is writing ${this.path}: wait for it, or delete ${this.lock} if it is no batch run`
  }
}

/** The first attempts failed in a way that no other request would escape, so the rest was not sent. */
export class Hopeless extends Schema.TaggedError<Hopeless>()("Hopeless", {
  kind: Schema.Literals(["unreachable", "key refused", "quota exhausted"]),
  baseUrl: Schema.String,
  attempts: Schema.Int,
  problem: Schema.String
}) {
  override get message(): string {
    const what = {
      unreachable: `cannot reach ${this.baseUrl}`,
      "key refused": `${this.baseUrl} does not accept the key`,
      "quota exhausted": `${this.baseUrl} says that the quota is exhausted`
    }
    const first = this.attempts === 1 ? "" : ` (the first ${this.attempts} attempts all failed)`
    return `${what[this.kind]}: ${this.problem}${first}`
  }
}

export const Reason = Schema.Union([Misused, InputUnreadable, OutputUnwritable, OutputForeign, OutputLocked, Hopeless])
export type Reason = typeof Reason.Type

/** Ends the command with exit code 2 and one line on standard error. */
export class BatchError extends Schema.TaggedError<BatchError>()("BatchError", { reason: Reason }) {
  override readonly [CliError.userMessage] = this.reason.message
  override readonly [Runtime.errorExitCode] = 2

  override get message(): string {
    return this.reason.message
  }
}

/** Ends the command with exit code 1: the run ended, and these requests failed. The summary has told so. */
export class SomeFailed extends Schema.TaggedError<SomeFailed>()("SomeFailed", { failed: Schema.Int }) {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false

  override get message(): string {
    return `${this.failed} requests failed`
  }
}

/** Puts a platform's error into few words: "no such file or folder". */
export const problemOf = ({ reason }: PlatformError.PlatformError): string =>
  problems[reason._tag] ?? (reason.cause instanceof Error ? reason.cause.message : reason.message)

const problems: Readonly<Record<string, string>> = {
  NotFound: "no such file or folder",
  PermissionDenied: "permission denied"
}
