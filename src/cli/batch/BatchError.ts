/**
 * Says why a batch run could not start or had to stop: one error with a typed reason, and exit code 2.
 *
 * What goes wrong with a single request is no `BatchError`: it is written to the errors file, and the run goes on.
 */
import { Predicate, Runtime, Schema } from "effect"
import type { PlatformError } from "effect"
import { CliError } from "effect/cli"
import * as ShownError from "../../core/ShownError.ts"
import * as Shown from "./report/Shown.ts"
import * as Summary from "./report/Summary.ts"

/** The options contradict each other or lack something. */
export class Misused extends ShownError.TaggedError<Misused>()("Misused", { problem: Schema.String }) {
  override get message(): string {
    return this.problem
  }
}

/** The input cannot be read. */
export class InputUnreadable extends ShownError.TaggedError<InputUnreadable>()("InputUnreadable", {
  path: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `cannot read ${this.path}: ${this.problem}`
  }
}

/** A file of the run cannot be written; what was written before is complete. */
export class OutputUnwritable extends ShownError.TaggedError<OutputUnwritable>()("OutputUnwritable", {
  path: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `cannot write ${this.path}: ${this.problem}`
  }
}

/** A file to write exists and holds something else than it would after a batch run, so it is left alone. */
export class OutputForeign extends ShownError.TaggedError<OutputForeign>()("OutputForeign", { path: Schema.String }) {
  override get message(): string {
    return `${this.path} exists and is not all of it what a batch run wrote there: choose another file, or move it away`
  }
}

/** Another run writes the same output. */
export class OutputLocked extends ShownError.TaggedError<OutputLocked>()("OutputLocked", {
  path: Schema.String,
  lock: Schema.String
}) {
  override get message(): string {
    return `another run is writing ${this.path} (it holds ${this.lock}): wait for it, or stop it`
  }
}

/** No other request would fare better, so the rest was not sent, and is left for another run. */
export class ProviderUnusable extends ShownError.TaggedError<ProviderUnusable>()("ProviderUnusable", {
  kind: Schema.Literals([
    "unreachable",
    "no answers",
    "key refused",
    "quota exhausted",
    "model unknown",
    "asks to wait",
    "down"
  ]),
  baseUrl: Schema.String,
  problem: Schema.String,
  /** What to do about it, where that is not plain. */
  advice: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    const what = {
      unreachable: `cannot reach ${this.baseUrl}`,
      "no answers": `${this.baseUrl} gives no usable answer`,
      "key refused": `${this.baseUrl} does not accept the key`,
      "quota exhausted": `${this.baseUrl} says that the quota is exhausted`,
      "model unknown": `${this.baseUrl} has no such model`,
      "asks to wait": `${this.baseUrl} asks to wait longer than --patience allows`,
      down: `${this.baseUrl} did not recover`
    }
    const advice = this.advice === undefined ? "" : `; ${this.advice}`
    return `${what[this.kind]}: ${this.problem}${advice}`
  }
}

/** The run has cost what it may, so the rest was not sent. */
export class CostReached extends ShownError.TaggedError<CostReached>()("CostReached", {
  cost: Schema.Finite,
  maxCost: Schema.Finite
}) {
  override get message(): string {
    const [cost, most] = [Summary.money(this.cost), Summary.money(this.maxCost)]
    const rest = this.cost < this.maxCost ? ", and another answer could bring it above" : ""
    return `the run has cost ${cost} of the ${most} that it may${rest}: give a higher --max-cost to go on`
  }
}

export const Reason = Schema.Union([
  Misused,
  InputUnreadable,
  OutputUnwritable,
  OutputForeign,
  OutputLocked,
  ProviderUnusable,
  CostReached
])
export type Reason = typeof Reason.Type

/** Ends the command with exit code 2 and one line on standard error. */
export class BatchError extends ShownError.TaggedError<BatchError>()("BatchError", { reason: Reason }) {
  override readonly [CliError.userMessage] = Shown.text(this.reason.message)
  override readonly [Runtime.errorExitCode] = 2

  override get message(): string {
    return this.reason.message
  }
}

/** Ends the command with exit code 1: the run ended, and these requests failed. The summary has told so. */
export class SomeFailed extends ShownError.TaggedError<SomeFailed>()("SomeFailed", { failed: Schema.Int }) {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false

  override get message(): string {
    return `${this.failed} requests failed`
  }
}

/** The same for an error of Node itself. */
export const problemOfNode = (error: unknown): string => {
  const code = Predicate.hasProperty(error, "code") ? String(error.code) : ""
  return (
    (Object.hasOwn(codes, code) ? codes[code] : undefined) ?? (error instanceof Error ? error.message : String(error))
  )
}

const codes: Readonly<Record<string, string>> = {
  ENOENT: "no such file or folder",
  EACCES: "permission denied",
  EPERM: "permission denied",
  ENOSPC: "no room is left on its disk",
  EDQUOT: "no room is left on its disk",
  EISDIR: "it is a folder",
  ENOTDIR: "no such file or folder",
  EROFS: "its disk is only read",
  ELOOP: "it is a link that leads to itself"
}

/** Puts a platform's error into few words: "no such file or folder". */
export const problemOf = ({ reason }: PlatformError.PlatformError): string =>
  problems[reason._tag] ?? (reason.cause instanceof Error ? reason.cause.message : reason.message)

const problems: Readonly<Record<string, string>> = {
  NotFound: "no such file or folder",
  PermissionDenied: "permission denied"
}
