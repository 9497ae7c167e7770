/**
 * Keeps rows in memory, for as long as the process lives.
 *
 * Lists and counts look at every job, a claim at every key that has jobs waiting.
 */
import type { JobState } from "../../core/JobEvent.ts"
import { Heap } from "../../core/queue/Heap.ts"
import type { Attempt, Counts, EventKind, Filter, JobEvent, Step } from "./Job.ts"
import { matches } from "./Matches.ts"
import type { Lane, Ledger, Row, StoredRow, Table } from "./Table.ts"

interface Kept extends StoredRow {
  heapIndex: number
  /** Where it waits, or waits to be dropped. A job that runs is in none. */
  heap: Heap<Kept> | undefined
  /** Its place when it was put there. */
  placedAt: number
  readonly log: Array<JobEvent>
  readonly tries: Array<Attempt>
  readonly done: Map<string, Step>
}

export class MemoryTable implements Table {
  readonly ledger: Ledger = { turn: 0, ended: 0, characters: 0 }
  private readonly rows = new Map<string, Kept>()
  private readonly byIdempotencyKey = new Map<string, Kept>()
  private readonly inProgress = new Set<Kept>()
  private readonly lanes = new Map<string, Map<string, Lane>>()
  private readonly ready = new Map<string, Heap<Kept>>()
  private readonly waiting = new Heap<Kept>((a, b) => (a.dueMillis ?? 0) < (b.dueMillis ?? 0))
  private readonly over = new Heap<Kept>((a, b) => (a.endedAtMillis ?? 0) < (b.endedAtMillis ?? 0))
  private positions = 0

  find(id: string): Kept | undefined {
    return this.rows.get(id)
  }

  findByIdempotencyKey(name: string, key: string, idempotencyKey: string): Kept | undefined {
    return this.byIdempotencyKey.get(joined(name, key, idempotencyKey))
  }

  insert(row: Row): Kept {
    const kept: Kept = {
      ...row,
      position: ++this.positions,
      heapIndex: -1,
      heap: undefined,
      placedAt: 0,
      log: [],
      tries: [],
      done: new Map()
    }
    this.rows.set(kept.id, kept)
    const { idempotencyKey, key, name } = kept
    if (idempotencyKey !== undefined) this.byIdempotencyKey.set(joined(name, key, idempotencyKey), kept)
    this.save(kept)
    return kept
  }

  save(row: StoredRow): void {
    const kept = this.kept(row)
    const heap = this.heapOf(kept)
    if (kept.heap !== heap || kept.placedAt !== kept.place) {
      kept.heap?.remove(kept)
      kept.heap = heap
      kept.placedAt = kept.place
      heap?.push(kept)
    }
    if (kept.state === "running") this.inProgress.add(kept)
    else this.inProgress.delete(kept)
  }

  remove(row: StoredRow): void {
    const kept = this.kept(row)
    kept.heap?.remove(kept)
    this.rows.delete(kept.id)
    const { idempotencyKey, key, name } = kept
    if (idempotencyKey !== undefined) this.byIdempotencyKey.delete(joined(name, key, idempotencyKey))
  }

  head(name: string, key: string): Kept | undefined {
    return this.ready.get(joined(name, key))?.first
  }

  firstDue(nowMillis: number): Kept | undefined {
    const { first } = this.waiting
    return (first?.dueMillis ?? Infinity) <= nowMillis ? first : undefined
  }

  running(): ReadonlyArray<Kept> {
    return Array.from(this.inProgress)
  }

  countRunning(name: string): number {
    return this.running().filter((row) => row.name === name).length
  }

  lane(name: string, key: string): Lane | undefined {
    return this.lanes.get(name)?.get(key)
  }

  saveLane(lane: Lane): void {
    const ofName = this.lanes.get(lane.name) ?? new Map<string, Lane>()
    this.lanes.set(lane.name, ofName.set(lane.key, lane))
  }

  removeLane({ key, name }: Lane): void {
    const ofName = this.lanes.get(name)
    ofName?.delete(key)
    if (ofName?.size === 0) this.lanes.delete(name)
    this.ready.delete(joined(name, key))
  }

  firstLane(name: string, keyLimit: number): Lane | undefined {
    let first: Lane | undefined
    for (const lane of this.lanes.get(name)?.values() ?? []) {
      if (lane.running < keyLimit && (lane.score ?? Infinity) < (first?.score ?? Infinity)) first = lane
    }
    return first
  }

  idleLanes(): ReadonlyArray<Lane> {
    return Array.from(this.lanes.values()).flatMap((ofName) =>
      Array.from(ofName.values()).filter(({ running, score }) => running === 0 && score === undefined)
    )
  }

  addEvent(row: StoredRow, sequence: number, kind: EventKind, atMillis: number, data?: string): void {
    this.kept(row).log.push({ sequence, kind, atMillis, data })
  }

  events(row: StoredRow, after: number): ReadonlyArray<JobEvent> {
    return this.kept(row).log.slice(Math.max(0, after))
  }

  addAttempt(row: StoredRow, attempt: Attempt): void {
    this.kept(row).tries.push(attempt)
  }

  endAttempt(row: StoredRow, outcome: Attempt["outcome"], atMillis: number, error?: string): void {
    const { tries } = this.kept(row)
    const last = tries.pop()
    if (last !== undefined) tries.push({ ...last, outcome, endedAtMillis: atMillis, error })
  }

  attempts(row: StoredRow): ReadonlyArray<Attempt> {
    return Array.from(this.kept(row).tries)
  }

  addStep(row: StoredRow, { name, value }: Step): boolean {
    const { done } = this.kept(row)
    if (done.has(name)) return false
    done.set(name, { name, value })
    return true
  }

  steps(row: StoredRow): ReadonlyArray<Step> {
    return Array.from(this.kept(row).done.values())
  }

  select(filter: Filter, before: number, limit: number): ReadonlyArray<Kept> {
    const among =
      filter.ids === undefined
        ? Array.from(this.rows.values()).toReversed()
        : Array.from(new Set(filter.ids))
            .flatMap((id) => this.rows.get(id) ?? [])
            .sort((a, b) => b.position - a.position)
    return among.filter((row) => row.position < before && matches(filter, row)).slice(0, limit)
  }

  count(filter: Filter): Counts {
    const counts: Record<JobState, number> = { pending: 0, running: 0, completed: 0, failed: 0, cancelled: 0 }
    for (const { state } of this.select(filter, Infinity, Infinity)) counts[state]++
    return counts
  }

  firstEnded(): Kept | undefined {
    return this.over.first
  }

  /** Every row of this table is one that it made. */
  private kept(row: StoredRow): Kept {
    return row as Kept
  }

  private heapOf({ dueMillis, key, name, state }: Kept): Heap<Kept> | undefined {
    if (state === "running") return undefined
    if (state !== "pending") return this.over
    if (dueMillis !== undefined) return this.waiting
    const lane = joined(name, key)
    const heap = this.ready.get(lane) ?? new Heap<Kept>(isPlacedBefore)
    this.ready.set(lane, heap)
    return heap
  }
}

const isPlacedBefore = (a: Kept, b: Kept): boolean =>
  a.place === b.place ? a.position < b.position : a.place < b.place

/** Two lists of texts give two texts. */
const joined = (...texts: ReadonlyArray<string>): string => JSON.stringify(texts)
