/**
 * How rows are written in a file, and read from it.
 */
import type { JobState } from "../../core/JobEvent.ts"
import type { Attempt, EventKind } from "../store/Job.ts"
import type { Lane, Row, StoredRow } from "../store/Table.ts"

/** What SQLite gives for a row. */
export type Columns = Readonly<Record<string, unknown>>
export type Value = string | number | null

/** States by their number: those from 2 on are ends. A new one goes to the end of each of these lists. */
export const states: ReadonlyArray<JobState> = ["pending", "running", "completed", "failed", "cancelled"]
export const kinds: ReadonlyArray<EventKind> = [
  "Submitted",
  "Started",
  "Progress",
  "Report",
  "Step",
  "CancelRequested",
  "RetryAt",
  "Released",
  "Lost",
  "Requeued",
  "Completed",
  "Failed",
  "Cancelled"
]
export const outcomes: ReadonlyArray<NonNullable<Attempt["outcome"]>> = [
  "Completed",
  "Failed",
  "RetryAt",
  "Cancelled",
  "Released",
  "Lost"
]

/** SQLite keeps no lone surrogates, so such a text is kept as JSON; and one that could be taken for JSON, too. */
export const encode = (text: string): string =>
  text.startsWith('"') || !text.isWellFormed() ? JSON.stringify(text) : text

const decode = (text: string): string => (text.startsWith('"') ? JSON.parse(text) : text)

export const orNull = (text: string | undefined): string | null => (text === undefined ? null : encode(text))

/** The columns of {@link rowOf}, in the order of {@link valuesOf}. */
export const names = [
  "id",
  "name",
  "version",
  "key",
  "priority",
  "idempotency_key",
  "metadata",
  "payload",
  "submitted"
] as const

export const changing = [
  "state",
  "place",
  "due",
  "attempt",
  "lost",
  "claims",
  "worker",
  "cancel_reason",
  "started",
  "ended",
  "events",
  "progress",
  "result"
] as const

export const valuesOf = (row: Row): ReadonlyArray<Value> => [
  encode(row.id),
  encode(row.name),
  row.version,
  encode(row.key),
  row.priority,
  orNull(row.idempotencyKey),
  JSON.stringify(row.metadata),
  encode(row.payload),
  row.submittedAtMillis
]

export const changesOf = (row: Row): ReadonlyArray<Value> => [
  states.indexOf(row.state),
  row.place,
  row.dueMillis ?? null,
  row.attempt,
  row.lost,
  row.claims,
  orNull(row.worker),
  orNull(row.cancelReason),
  row.startedAtMillis ?? null,
  row.endedAtMillis ?? null,
  row.events,
  orNull(row.progress),
  orNull(row.result)
]

export const rowOf = (columns: Columns): StoredRow => ({
  position: Number(columns["position"]),
  id: text(columns["id"]),
  name: text(columns["name"]),
  version: Number(columns["version"]),
  key: text(columns["key"]),
  priority: Number(columns["priority"]),
  idempotencyKey: optionalText(columns["idempotency_key"]),
  metadata: JSON.parse(String(columns["metadata"])),
  payload: text(columns["payload"]),
  submittedAtMillis: Number(columns["submitted"]),
  state: states[Number(columns["state"])] ?? "failed",
  place: Number(columns["place"]),
  dueMillis: optionalNumber(columns["due"]),
  attempt: Number(columns["attempt"]),
  lost: Number(columns["lost"]),
  claims: Number(columns["claims"]),
  worker: optionalText(columns["worker"]),
  cancelReason: optionalText(columns["cancel_reason"]),
  startedAtMillis: optionalNumber(columns["started"]),
  endedAtMillis: optionalNumber(columns["ended"]),
  events: Number(columns["events"]),
  progress: optionalText(columns["progress"]),
  result: optionalText(columns["result"])
})

export const laneOf = (columns: Columns): Lane => ({
  name: text(columns["name"]),
  key: text(columns["key"]),
  running: Number(columns["running"]),
  turn: Number(columns["turn"]),
  sinceMillis: Number(columns["since"]),
  score: optionalNumber(columns["score"])
})

export const text = (value: unknown): string => decode(String(value))
export const optionalText = (value: unknown): string | undefined => (value === null ? undefined : text(value))
export const optionalNumber = (value: unknown): number | undefined => (value === null ? undefined : Number(value))
