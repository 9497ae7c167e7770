/**
 * Checks what a store is asked, before it is: what makes no sense is a `RangeError` that names it, and a text that is too long
 * is a typed error. What is handed on is plain data, which any thread can be sent.
 */
import * as OptionCheck from "../../core/OptionCheck.ts"
import { TooLarge } from "../JobStoreError.ts"
import type { Retention } from "./Contract.ts"
import type { Entry, Filter, NewJob, Outcome, PageRequest, Token, Want } from "./Job.ts"
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

export const wantOf = ({ names, slots, worker }: Want): Want => {
  claiming.list("names", names)
  return {
    worker: claiming.label("worker", worker, longest),
    slots: claiming.whole("slots", slots, 0, 10_000),
    names: names.map(({ keyLimit, limit, name }) => ({
      name: claiming.label("names.name", name, longest),
      limit: limit === undefined ? undefined : claiming.whole("names.limit", limit, 0),
      keyLimit: keyLimit === undefined ? undefined : claiming.whole("names.keyLimit", keyLimit, 0)
    }))
  }
}

const holding = OptionCheck.of("JobStore token")

export const tokenOf = ({ claim, id }: Token): Token => ({
  id: holding.text("id", id),
  claim: holding.whole("claim", claim, 0)
})

export const idOf = (id: string): string => holding.text("id", id)

const settling = OptionCheck.of("JobStore.settle")

export const outcomeOf = (outcome: Outcome): Outcome => {
  const { _tag } = outcome
  switch (_tag) {
    case "Completed":
      return { _tag, result: settling.text("result", outcome.result) }
    case "Failed":
      return { _tag, error: settling.text("error", outcome.error) }
    case "RetryAt":
      return {
        _tag,
        error: settling.text("error", outcome.error),
        atMillis: settling.number("atMillis", outcome.atMillis, { atLeast: -latest, atMost: latest })
      }
    case "Cancelled":
      return { _tag, reason: settling.text("reason", outcome.reason, longest) }
    case "Released":
      return { _tag }
    default:
      return settling.reject("outcome", "one of Completed, Failed, RetryAt, Cancelled, Released", _tag)
  }
}

const recording = OptionCheck.of("JobStore.record")

export const entryOf = (entry: Entry): Entry => {
  const value = recording.text("value", entry.value)
  const _tag = recording.oneOf("entry", entry._tag, ["Progress", "Report", "Step"])
  if (entry._tag === "Step") return { _tag: "Step", name: recording.label("name", entry.name, longest), value }
  return { _tag: _tag === "Progress" ? _tag : "Report", value }
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

export const pageOf = (page: PageRequest): { readonly before: number; readonly limit: number } => {
  paging.fields(page, { before: true, limit: true })
  const { before, limit = 100 } = page
  return {
    before: before === undefined ? Number.MAX_SAFE_INTEGER : paging.whole("before", before, 0),
    limit: paging.whole("limit", limit, 1, 10_000)
  }
}

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
