/**
 * Names what can be said of a job when it is submitted.
 */
import { type Duration, Schedule } from "effect"
import type { JobKind, Metadata } from "../../core/JobEvent.ts"
import * as OptionCheck from "../../core/OptionCheck.ts"
import * as GeneratorFunction from "../../core/GeneratorFunction.ts"
import * as SafeText from "../../core/SafeText.ts"
import * as Priority from "../../core/queue/Priority.ts"

/** How long a `name`, an `id`, a `key` and an `idempotencyKey` may be, in characters. */
export const maxText = 1_000

/** Each text may be {@link maxText} characters long, and the metadata 10,000 together. */
export interface Options<E = never> {
  /** What the job does, for people. Default: its id. */
  readonly name?: string | undefined
  /** How the job is found again; no other known job may have it. Default: `job-1`, `job-2`, … */
  readonly id?: string | undefined
  /** How long it may run, from its start; then it is interrupted and has failed. Default: the supervisor's. */
  readonly timeout?: Duration.Input | undefined
  /** Facts to list it by. Default: none. */
  readonly metadata?: Metadata | undefined
  /** Default `job`. The others take no slot: see {@link JobKind}. */
  readonly kind?: JobKind | undefined
  /**
   * Who it is for (tenant, model, customer): shares `keyConcurrency` and takes turns with other keys; the empty text is nobody.
   * Default: that of the job it belongs to, or nobody.
   */
  readonly key?: string | undefined
  /** How urgent it is, as a level or a number: see {@link priorities}. Default `normal`. */
  readonly priority?: Priority.Priority | undefined
  /**
   * What to do when `maxPending` jobs wait: be refused, wait for room, or wait for at most so long. Default `refuse`. A job
   * that belongs to another is let in all the same unless this is given, for it is part of work that has begun.
   */
  readonly whenFull?: "refuse" | "wait" | Duration.Input | undefined
  /**
   * When to try again after a failure, within the job's one time limit and slot. A failure that says that a job was
   * cancelled (`Cancelled`), by itself or by one of its causes, is not tried again. Default: never.
   */
  readonly retry?: Schedule.Schedule<unknown, E> | undefined
  /**
   * Joins the known job of the same tenant, name and `key` that was submitted with this one, if there is one, whatever its
   * `kind`: nothing is started then. What `Supervisor.every` started is never joined. Default: none.
   */
  readonly idempotencyKey?: string | undefined
  /** Who ends it: the job it is submitted from, or only the supervisor, and then it has no key but its own. Default `parent`. */
  readonly owner?: "parent" | "supervisor" | undefined
}

/** The named levels of priority. A point is worth one `aging` of waiting among jobs of the same key. */
export const priorities = Priority.levels

/** Throws a `RangeError` that names the option which makes no sense. */
export const check = <E>(given: Options<E>): void => {
  options.fields(given, fields)
  const { id, idempotencyKey, key, kind, metadata, name, owner, priority, retry, timeout, whenFull } = given
  if (name !== undefined) options.text("name", name, maxText)
  if (id !== undefined) options.label("id", id, maxText)
  if (timeout !== undefined) options.millis("timeout", timeout, { endless: true })
  if (metadata !== undefined) options.facts("metadata", metadata)
  if (kind !== undefined) options.oneOf("kind", kind, ["job", "call", "periodic"])
  if (key !== undefined) options.text("key", key, maxText)
  if (priority !== undefined && !Priority.isPriority(priority))
    options.reject(
      "priority",
      `a finite number below 2^53 or a level (${Object.keys(priorities).join(", ")})`,
      priority
    )
  if (whenFull !== undefined && whenFull !== "refuse" && whenFull !== "wait") {
    if (!OptionCheck.isDuration(whenFull))
      options.reject("whenFull", "refuse, wait, or a duration of at least 0 ms", whenFull)
    options.millis("whenFull", whenFull, { atLeast: 0, endless: true })
  }
  if (retry !== undefined && !Schedule.isSchedule(retry)) options.reject("retry", "a Schedule", retry)
  if (idempotencyKey !== undefined) options.label("idempotencyKey", idempotencyKey, maxText)
  if (owner !== undefined) options.oneOf("owner", owner, ["parent", "supervisor"])
}

const fields: OptionCheck.Fields<Options> = {
  name: true,
  id: true,
  timeout: true,
  metadata: true,
  kind: true,
  key: true,
  priority: true,
  whenFull: true,
  retry: true,
  idempotencyKey: true,
  owner: true
}

const options = OptionCheck.of("Supervisor.submit")

/** Throws for work that is no Effect, and says what makes one of an async function. */
export const rejectWork = (owner: string, work: unknown): never => {
  throw new RangeError(`${owner} takes an Effect${instead(work)}, got ${SafeText.of(work)}`)
}

const instead = (work: unknown): string => {
  if (GeneratorFunction.is(work)) return ": make one of a generator function by Effect.gen"
  return typeof work === "function" ? ": make one of an async function by Job.promise" : ""
}
