/**
 * Chooses jobs by what is known of them.
 */
import type { JobKind, JobState, Metadata } from "../../core/JobEvent.ts"
import * as OptionCheck from "../../core/OptionCheck.ts"
import type { JobRecord } from "./JobRecord.ts"

/**
 * Which jobs to list: those that match every field given. A field that is given as `undefined`, metadata without a fact, and
 * what is no plain object are refused, for a query that lacks a parameter would choose everybody's jobs.
 */
export interface Filter {
  /** One state, or any of several. Default: all. */
  readonly state?: JobState | ReadonlyArray<JobState>
  /** The exact name. Default: any. */
  readonly name?: string
  /** Default: any. */
  readonly kind?: JobKind
  /** Default: any. */
  readonly key?: string
  /** Jobs whose metadata has all of these values. Default: any. */
  readonly metadata?: Metadata
  /** How many of the matching jobs to pass over. Default 0. */
  readonly offset?: number | undefined
  /** How many to give at most. Default: all. */
  readonly limit?: number | undefined
}

/** Throws a `RangeError` that names the field which makes no sense. */
export const check = (owner: string, filter: Filter): void => {
  const check = OptionCheck.of(owner)
  check.fields(filter, fields)
  if (!OptionCheck.isPlain(filter)) throw new RangeError(`${owner} takes a filter that is a plain object`)
  const { key, kind, limit = Infinity, metadata, name, offset = 0 } = filter
  for (const field of choosing) {
    if (Object.hasOwn(filter, field) && filter[field] === undefined)
      check.reject(field, "left out to choose all", undefined)
  }
  if (limit !== Infinity) check.whole("limit", limit, 0)
  check.whole("offset", offset, 0)
  const wanted: unknown = filter.state === undefined ? [] : statesOf(filter)
  if (!Array.isArray(wanted)) return check.reject("state", `one of ${states.join(", ")}, or several`, wanted)
  for (const state of wanted) check.oneOf("state", state, states)
  if (kind !== undefined) check.oneOf("kind", kind, kinds)
  if (name !== undefined) check.text("name", name)
  if (key !== undefined) check.text("key", key)
  if (metadata === undefined) return
  check.facts("metadata", metadata)
  if (Object.keys(metadata).length === 0) check.reject("metadata", "left out to choose all", metadata)
}

/** True when nothing but jobs that have not ended can match. */
export const isOnlyLive = (filter: Filter): boolean =>
  statesOf(filter)?.every((state) => state === "pending" || state === "running") ?? false

/** Whether a job matches, whatever `offset` and `limit` are. */
export const matching = (filter: Filter): ((record: JobRecord) => boolean) => {
  const { key, kind, name } = filter
  const states = statesOf(filter)
  const facts = Object.entries(filter.metadata ?? {})
  const hasFacts = (metadata: Metadata): boolean => {
    for (let n = 0; n < facts.length; n++) {
      const fact = facts[n]
      if (fact !== undefined && metadata[fact[0]] !== fact[1]) return false
    }
    return true
  }
  return (record) =>
    (states === undefined || states.includes(record.state)) &&
    (kind === undefined || kind === record.kind) &&
    (key === undefined || key === record.key) &&
    hasFacts(record.metadata) &&
    (name === undefined || name === record.name)
}

const statesOf = ({ state }: Filter): ReadonlyArray<JobState> | undefined =>
  typeof state === "string" ? [state] : state

const choosing = ["state", "name", "kind", "key", "metadata"] as const

const fields: OptionCheck.Fields<Filter> = {
  state: true,
  name: true,
  kind: true,
  key: true,
  metadata: true,
  offset: true,
  limit: true
}

const states = ["pending", "running", "completed", "failed", "cancelled"] as const
const kinds = ["job", "call", "periodic"] as const
