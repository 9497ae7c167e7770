/**
 * Keeps rows in a database that is open, within transactions that others begin and end.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite"
import type { JobState } from "../../core/JobEvent.ts"
import type { Attempt, Counts, EventKind, Filter, JobEvent, Step } from "../store/Job.ts"
import type { Lane, Ledger, Row, StoredRow, Table } from "../store/Table.ts"
import * as Columns from "./Columns.ts"
import { conditionsOf } from "./Conditions.ts"

const inserted = ["position", ...Columns.names, ...Columns.changing].slice(1)

export class SqliteTable implements Table {
  private readonly database: DatabaseSync
  private readonly statements = new Map<string, StatementSync>()
  private kept: Ledger
  ledger: Ledger

  constructor(database: DatabaseSync) {
    this.database = database
    this.kept = this.readLedger()
    this.ledger = { ...this.kept }
  }

  /** Writes what is kept once for all jobs, if it has changed: before the end of a transaction. */
  flush(): void {
    const { characters, ended, turn } = this.ledger
    if (characters === this.kept.characters && ended === this.kept.ended && turn === this.kept.turn) return
    this.run("UPDATE ledger SET turn = ?, ended = ?, characters = ?", turn, ended, characters)
    this.kept = { ...this.ledger }
  }

  /** Forgets what was changed: after a transaction that was taken back. */
  reload(): void {
    this.kept = this.readLedger()
    Object.assign(this.ledger, this.kept)
  }

  find(id: string): StoredRow | undefined {
    return this.row("SELECT * FROM job WHERE id = ?", Columns.encode(id))
  }

  findByIdempotencyKey(name: string, key: string, idempotencyKey: string): StoredRow | undefined {
    return this.row(
      "SELECT * FROM job WHERE name = ? AND key = ? AND idempotency_key = ? AND idempotency_key IS NOT NULL",
      Columns.encode(name),
      Columns.encode(key),
      Columns.encode(idempotencyKey)
    )
  }

  insert(row: Row): StoredRow {
    const values = [...Columns.valuesOf(row), ...Columns.changesOf(row)]
    const places = values.map(() => "?").join(", ")
    const { lastInsertRowid } = this.run(`INSERT INTO job (${inserted.join(", ")}) VALUES (${places})`, ...values)
    const position = Number(lastInsertRowid)
    for (const [fact, value] of Object.entries(row.metadata)) {
      this.run("INSERT INTO fact VALUES (?, ?, ?)", Columns.encode(fact), JSON.stringify(value), position)
    }
    return { ...row, position }
  }

  save(row: StoredRow): void {
    const columns = Columns.changing.map((name) => `${name} = ?`).join(", ")
    this.run(`UPDATE job SET ${columns} WHERE position = ?`, ...Columns.changesOf(row), row.position)
  }

  remove({ metadata, position }: StoredRow): void {
    this.run("DELETE FROM job WHERE position = ?", position)
    for (const table of ["event", "attempt", "step"]) this.run(`DELETE FROM ${table} WHERE job = ?`, position)
    for (const [fact, value] of Object.entries(metadata)) {
      this.run(
        "DELETE FROM fact WHERE fact = ? AND value = ? AND job = ?",
        Columns.encode(fact),
        JSON.stringify(value),
        position
      )
    }
  }

  head(name: string, key: string): StoredRow | undefined {
    return this.row(
      "SELECT * FROM job WHERE name = ? AND key = ? AND state = 0 AND due IS NULL ORDER BY place, position LIMIT 1",
      Columns.encode(name),
      Columns.encode(key)
    )
  }

  firstDue(nowMillis: number): StoredRow | undefined {
    return this.row(
      "SELECT * FROM job WHERE state = 0 AND due IS NOT NULL AND due <= ? ORDER BY due LIMIT 1",
      nowMillis
    )
  }

  running(): ReadonlyArray<StoredRow> {
    return this.all("SELECT * FROM job WHERE state = 1").map(Columns.rowOf)
  }

  countRunning(name: string): number {
    const found = this.one("SELECT count(*) AS running FROM job WHERE state = 1 AND name = ?", Columns.encode(name))
    return Number(found?.["running"])
  }

  lane(name: string, key: string): Lane | undefined {
    const found = this.one("SELECT * FROM lane WHERE name = ? AND key = ?", Columns.encode(name), Columns.encode(key))
    return found && Columns.laneOf(found)
  }

  saveLane({ key, name, running, score, sinceMillis, turn }: Lane): void {
    this.run(
      "INSERT OR REPLACE INTO lane (name, key, running, turn, since, score) VALUES (?, ?, ?, ?, ?, ?)",
      Columns.encode(name),
      Columns.encode(key),
      running,
      turn,
      sinceMillis,
      score ?? null
    )
  }

  removeLane({ key, name }: Lane): void {
    this.run("DELETE FROM lane WHERE name = ? AND key = ?", Columns.encode(name), Columns.encode(key))
  }

  firstLane(name: string, keyLimit: number): Lane | undefined {
    const found = this.one(
      "SELECT * FROM lane WHERE name = ? AND score IS NOT NULL AND running < ? ORDER BY score LIMIT 1",
      Columns.encode(name),
      keyLimit
    )
    return found && Columns.laneOf(found)
  }

  idleLanes(): ReadonlyArray<Lane> {
    return this.all("SELECT * FROM lane WHERE running = 0 AND score IS NULL").map(Columns.laneOf)
  }

  addEvent({ position }: StoredRow, sequence: number, kind: EventKind, atMillis: number, data?: string): void {
    this.run(
      "INSERT INTO event VALUES (?, ?, ?, ?, ?)",
      position,
      sequence,
      Columns.kinds.indexOf(kind),
      atMillis,
      Columns.orNull(data)
    )
  }

  events({ position }: StoredRow, after: number): ReadonlyArray<JobEvent> {
    return this.all("SELECT * FROM event WHERE job = ? AND sequence > ? ORDER BY sequence", position, after).map(
      (columns) => ({
        sequence: Number(columns["sequence"]),
        kind: Columns.kinds[Number(columns["kind"])] ?? "Report",
        atMillis: Number(columns["at"]),
        data: Columns.optionalText(columns["data"])
      })
    )
  }

  addAttempt({ position }: StoredRow, { attempt, claim, startedAtMillis }: Attempt): void {
    this.run(
      "INSERT INTO attempt (job, claim, attempt, started) VALUES (?, ?, ?, ?)",
      position,
      claim,
      attempt,
      startedAtMillis
    )
  }

  endAttempt({ claims, position }: StoredRow, outcome: Attempt["outcome"], atMillis: number, error?: string): void {
    this.run(
      "UPDATE attempt SET outcome = ?, ended = ?, error = ? WHERE job = ? AND claim = ?",
      outcome === undefined ? null : Columns.outcomes.indexOf(outcome),
      atMillis,
      Columns.orNull(error),
      position,
      claims
    )
  }

  attempts({ position }: StoredRow): ReadonlyArray<Attempt> {
    return this.all("SELECT * FROM attempt WHERE job = ? ORDER BY claim", position).map((columns) => ({
      claim: Number(columns["claim"]),
      attempt: Number(columns["attempt"]),
      startedAtMillis: Number(columns["started"]),
      endedAtMillis: Columns.optionalNumber(columns["ended"]),
      outcome: columns["outcome"] === null ? undefined : Columns.outcomes[Number(columns["outcome"])],
      error: Columns.optionalText(columns["error"])
    }))
  }

  addStep({ position }: StoredRow, { name, value }: Step): boolean {
    const { changes } = this.run(
      "INSERT INTO step (job, name, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
      position,
      Columns.encode(name),
      Columns.encode(value)
    )
    return changes > 0
  }

  steps({ position }: StoredRow): ReadonlyArray<Step> {
    return this.all("SELECT name, value FROM step WHERE job = ? ORDER BY position", position).map((columns) => ({
      name: Columns.text(columns["name"]),
      value: Columns.text(columns["value"])
    }))
  }

  select(filter: Filter, before: number, limit: number): ReadonlyArray<StoredRow> {
    const { from, values, where } = conditionsOf(filter)
    const found = this.all(
      `SELECT job.* FROM ${from} WHERE ${where} AND job.position < ? ORDER BY job.position DESC LIMIT ?`,
      ...values,
      Math.min(before, Number.MAX_SAFE_INTEGER),
      Number.isFinite(limit) ? limit : -1
    )
    return found.map(Columns.rowOf)
  }

  count(filter: Filter): Counts {
    const counts: Record<JobState, number> = { pending: 0, running: 0, completed: 0, failed: 0, cancelled: 0 }
    const { from, values, where } = conditionsOf(filter)
    const found = this.all(
      `SELECT job.state AS state, count(*) AS jobs FROM ${from} WHERE ${where} GROUP BY job.state`,
      ...values
    )
    for (const { jobs, state } of found) {
      const name = Columns.states[Number(state)]
      if (name !== undefined) counts[name] = Number(jobs)
    }
    return counts
  }

  firstEnded(): StoredRow | undefined {
    return this.row("SELECT * FROM job WHERE state >= 2 ORDER BY ended, position LIMIT 1")
  }

  private readLedger(): Ledger {
    const found = this.one("SELECT * FROM ledger")
    return {
      turn: Number(found?.["turn"]),
      ended: Number(found?.["ended"]),
      characters: Number(found?.["characters"])
    }
  }

  private statement(sql: string): StatementSync {
    const known = this.statements.get(sql)
    if (known !== undefined) return known
    const made = this.database.prepare(sql)
    // Filters have many forms, and what is written here has few.
    if (this.statements.size < 200) this.statements.set(sql, made)
    return made
  }

  private run(sql: string, ...values: ReadonlyArray<Columns.Value>) {
    return this.statement(sql).run(...values)
  }

  private one(sql: string, ...values: ReadonlyArray<Columns.Value>): Columns.Columns | undefined {
    return this.statement(sql).get(...values)
  }

  private all(sql: string, ...values: ReadonlyArray<Columns.Value>): ReadonlyArray<Columns.Columns> {
    return this.statement(sql).all(...values)
  }

  private row(sql: string, ...values: ReadonlyArray<Columns.Value>): StoredRow | undefined {
    const found = this.one(sql, ...values)
    return found && Columns.rowOf(found)
  }
}
