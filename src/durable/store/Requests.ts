/**
 * Checks what a store is asked, before it is: what makes no sense is a `RangeError` that names it, and a text that is too long
 * is a typed error.
 */
import * as OptionCheck from "../../core/OptionCheck.ts"
import { TooLarge } from "../JobStoreError.ts"
import type { Retention } from "./Contract.ts"
import type { Entry, Filter, NewJob, Outcome, PageRequest, Want } from "./Job.ts"
import type { Bounds } from "./Operation.ts"

/** The longest name, key, id or reason. */
const longest = 1_000
const latest = 8.64e15

const states = ["pending", "running", "completed", "failed", "cancelled"] as const

const submission = OptionCheck.of("JobStore.submit")
const jobFields: OptionCheck.Fields<NewJob> = {
  name: true,
  payload: true,
  id: true,
  version: true,
  key: true,
  priority: true,
  dueMillis: true,
  idempotencyKey: true,
  metadata: true
}

export const checkJob = (job: NewJob): void => {
  const { dueMillis, id, idempotencyKey, key = "", metadata = {}, name, payload, priority = 0, version = 1 } = job
  submission.fields(job, jobFields)
  submission.label("name", name, longest)
  submission.text("payload", payload)
  if (id !== undefined) submission.label("id", id, longest)
  submission.whole("version", version, 0)
  submission.text("key", key, longest)
  submission.number("priority", priority, { atLeast: -1e6, atMost: 1e6 })
  if (dueMillis !== undefined) submission.number("dueMillis", dueMillis, { atLeast: -latest, atMost: latest })
  if (idempotencyKey !== undefined) submission.label("idempotencyKey", idempotencyKey, longest)
  checkFacts(submission, metadata)
}

const claiming = OptionCheck.of("JobStore.claim")

export const checkWant = ({ names, slots, worker }: Want): void => {
  claiming.label("worker", worker, longest)
  claiming.whole("slots", slots, 0, 10_000)
  claiming.list("names", names)
  for (const { keyLimit, limit, name } of names) {
    claiming.label("names.name", name, longest)
    if (limit !== undefined) claiming.whole("names.limit", limit, 0)
    if (keyLimit !== undefined) claiming.whole("names.keyLimit", keyLimit, 0)
  }
}

const settling = OptionCheck.of("JobStore.settle")

export const checkOutcome = (outcome: Outcome): void => {
  if (outcome._tag === "Completed") settling.text("result", outcome.result)
  if (outcome._tag === "Failed" || outcome._tag === "RetryAt") settling.text("error", outcome.error)
  if (outcome._tag === "RetryAt") settling.number("atMillis", outcome.atMillis, { atLeast: -latest, atMost: latest })
  if (outcome._tag === "Cancelled") settling.text("reason", outcome.reason, longest)
}

const recording = OptionCheck.of("JobStore.record")

export const checkEntry = (entry: Entry): void => {
  recording.text("value", entry.value)
  if (entry._tag === "Step") recording.label("name", entry.name, longest)
}

const finding = OptionCheck.of("JobStore filter")
const filterFields: OptionCheck.Fields<Filter> = { ids: true, names: true, keys: true, states: true, metadata: true }

export const checkFilter = (filter: Filter): void => {
  finding.fields(filter, filterFields)
  for (const name of ["ids", "names", "keys"] as const) {
    const texts = filter[name]
    if (texts !== undefined) finding.texts(name, texts)
  }
  if (filter.states !== undefined) {
    finding.texts("states", filter.states)
    for (const state of filter.states) finding.oneOf("states", state, states)
  }
  checkFacts(finding, filter.metadata ?? {})
}

const paging = OptionCheck.of("JobStore.list")

export const pageOf = ({ before, limit = 100 }: PageRequest): { readonly before: number; readonly limit: number } => ({
  before: before === undefined ? Number.MAX_SAFE_INTEGER : paging.whole("before", before, 0),
  limit: paging.whole("limit", limit, 1, 10_000)
})

export const checkReason = (reason: string): string => OptionCheck.of("JobStore.cancel").text("reason", reason, longest)

export const checkAfter = (after: number): number => OptionCheck.of("JobStore.events").whole("after", after, 0)

const pruning = OptionCheck.of("JobStore.prune")
const retentionFields: OptionCheck.Fields<Retention> = { age: true, count: true, characters: true }

export const boundsOf = (retention: Retention): Bounds => {
  const { age, characters, count } = retention
  pruning.fields(retention, retentionFields)
  if (age === undefined && count === undefined && characters === undefined) {
    pruning.reject("retention", "one bound at least", "none")
  }
  return {
    ageMillis: age === undefined ? undefined : pruning.millis("age", age, { atLeast: 0 }),
    count: count === undefined ? undefined : pruning.whole("count", count, 0),
    characters: characters === undefined ? undefined : pruning.whole("characters", characters, 0)
  }
}

export const checkLimit = (limit: number): number => pruning.whole("limit", limit, 1)

/** The first text that is longer than the store takes. */
export const tooLarge = (
  texts: Iterable<readonly [what: TooLarge["what"], text: string]>,
  most: number
): TooLarge | undefined => {
  for (const [what, text] of texts) {
    // No character has more than three bytes, so most texts need not be measured.
    if (text.length * 3 <= most) continue
    const bytes = new TextEncoder().encode(text).length
    if (bytes > most) return new TooLarge({ what, bytes, most })
  }
  return undefined
}

/** JSON knows no endless number, and facts are kept as JSON. */
const checkFacts = (check: OptionCheck.OptionCheck, metadata: NonNullable<NewJob["metadata"]>): void => {
  check.facts("metadata", metadata)
  for (const [fact, value] of Object.entries(metadata)) {
    if (typeof value === "number") check.number(`metadata.${fact}`, value, {})
  }
}
