/**
 * Moves a job from state to state. Each move keeps its lane, its events, its attempts and the ledger in step.
 */
import type { EventKind, Signal } from "./Job.ts"
import type { Lanes } from "./Lanes.ts"
import type { Row, StoredRow, Table } from "./Table.ts"

/** The time of a request: the date, and what durations are measured by. */
export interface Instant {
  readonly wallMillis: number
  readonly monotonicMillis: number
}

export class Transitions {
  private readonly table: Table
  private readonly lanes: Lanes
  private readonly signal: (signal: Signal) => void

  constructor(table: Table, lanes: Lanes, signal: (signal: Signal) => void) {
    this.table = table
    this.lanes = lanes
    this.signal = signal
  }

  insert(row: Row, now: Instant): void {
    row.events = 1
    const stored = this.table.insert(row)
    this.table.addEvent(stored, 1, "Submitted", now.wallMillis)
    this.isReady(stored, now)
  }

  start(row: StoredRow, worker: string, now: Instant): void {
    row.state = "running"
    row.claims++
    row.attempt++
    row.worker = worker
    row.startedAtMillis = now.wallMillis
    row.progress = undefined
    this.say(row, "Started", now)
    this.table.addAttempt(row, {
      claim: row.claims,
      attempt: row.attempt,
      startedAtMillis: now.wallMillis,
      endedAtMillis: undefined,
      outcome: undefined,
      error: undefined
    })
    this.table.save(row)
    this.lanes.refresh(row, 1)
  }

  complete(row: StoredRow, result: string, now: Instant): void {
    this.endAttempt(row, "Completed", now)
    row.lost = 0
    row.result = result
    this.end(row, "completed", "Completed", now)
  }

  fail(row: StoredRow, error: string, now: Instant): void {
    this.endAttempt(row, "Failed", now, error)
    row.lost = 0
    row.result = error
    this.end(row, "failed", "Failed", now, error)
  }

  /** Cancels a job that waits, or whose attempt has been stopped. The first reason that was given counts. */
  cancel(row: StoredRow, reason: string, now: Instant): void {
    if (row.state === "running") this.endAttempt(row, "Cancelled", now)
    row.cancelReason ??= reason
    this.end(row, "cancelled", "Cancelled", now, row.cancelReason)
  }

  requestCancel(row: StoredRow, reason: string, now: Instant): void {
    if (row.cancelReason !== undefined) return
    row.cancelReason = reason
    this.say(row, "CancelRequested", now, reason)
    this.table.save(row)
    this.signal({ _tag: "CancelRequested", id: row.id })
  }

  /** A cancellation that was asked for meanwhile is carried out: the job does not run again. */
  retryAt(row: StoredRow, error: string, atMillis: number, now: Instant): void {
    this.endAttempt(row, "RetryAt", now, error)
    if (row.cancelReason !== undefined) return this.end(row, "cancelled", "Cancelled", now, row.cancelReason)
    row.lost = 0
    row.dueMillis = atMillis > now.wallMillis ? atMillis : undefined
    row.place = this.lanes.placeOf(row.priority, row.dueMillis)
    this.waitAgain(row, "RetryAt", now, error)
  }

  release(row: StoredRow, now: Instant): void {
    this.endAttempt(row, "Released", now)
    if (row.cancelReason !== undefined) return this.end(row, "cancelled", "Cancelled", now, row.cancelReason)
    row.attempt--
    this.waitAgain(row, "Released", now)
  }

  /** Takes a job back from a worker that was lost; after so many in a row it has failed. */
  lose(row: StoredRow, maxLost: number, now: Instant): void {
    this.endAttempt(row, "Lost", now)
    row.lost++
    this.say(row, "Lost", now)
    if (row.cancelReason !== undefined) return this.end(row, "cancelled", "Cancelled", now, row.cancelReason)
    if (row.lost >= maxLost) return this.end(row, "failed", "Failed", now)
    this.waitAgain(row, undefined, now)
  }

  requeue(row: StoredRow, now: Instant): void {
    this.count(row, -1)
    row.state = "pending"
    row.attempt = 0
    row.lost = 0
    row.worker = undefined
    row.cancelReason = undefined
    row.startedAtMillis = undefined
    row.endedAtMillis = undefined
    row.progress = undefined
    row.result = undefined
    row.dueMillis = undefined
    row.place = this.lanes.placeOf(row.priority, undefined)
    this.say(row, "Requeued", now)
    this.table.save(row)
    this.isReady(row, now)
  }

  /** What was to wait until a time that has come waits no longer. */
  promote(row: StoredRow): void {
    row.dueMillis = undefined
    this.table.save(row)
    this.lanes.refresh(row)
  }

  remove(row: StoredRow): void {
    this.count(row, -1)
    this.table.remove(row)
  }

  say(row: StoredRow, kind: EventKind, now: Instant, data?: string): void {
    row.events++
    this.table.addEvent(row, row.events, kind, now.wallMillis, data)
  }

  private endAttempt(row: StoredRow, outcome: Parameters<Table["endAttempt"]>[1], now: Instant, error?: string): void {
    this.table.endAttempt(row, outcome, now.wallMillis, error)
  }

  private end(
    row: StoredRow,
    state: "completed" | "failed" | "cancelled",
    kind: EventKind,
    now: Instant,
    data?: string
  ): void {
    const ran = row.state === "running"
    row.state = state
    row.dueMillis = undefined
    row.endedAtMillis = now.wallMillis
    this.say(row, kind, now, data)
    this.table.save(row)
    this.count(row, 1)
    this.lanes.refresh(row, ran ? -1 : 0)
    this.signal({ _tag: "Ended", id: row.id })
  }

  private waitAgain(row: StoredRow, kind: EventKind | undefined, now: Instant, data?: string): void {
    row.state = "pending"
    row.worker = undefined
    if (kind !== undefined) this.say(row, kind, now, data)
    this.table.save(row)
    this.lanes.refresh(row, -1)
    this.signal({ _tag: "Ready", name: row.name, atMillis: row.dueMillis ?? now.wallMillis })
  }

  private isReady(row: StoredRow, now: Instant): void {
    this.lanes.refresh(row)
    this.signal({ _tag: "Ready", name: row.name, atMillis: row.dueMillis ?? now.wallMillis })
  }

  private count({ metadata, payload, result }: StoredRow, times: 1 | -1): void {
    this.table.ledger.ended += times
    this.table.ledger.characters += times * (payload.length + (result?.length ?? 0) + JSON.stringify(metadata).length)
  }
}
