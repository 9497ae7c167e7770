/**
 * Says which job goes next: keys take turns, and within a key priority and age count.
 *
 * Neither order changes while a job waits, so a store can keep both in an index. Within a key a job's place is the time from
 * which it could run, less one `aging` for each point of priority. Between keys turns are dealt as in start-time fair
 * queueing: a key that comes anew is dealt in at the turn that was served last, a point of priority is worth one turn, and so
 * is each `aging` that a key has waited since its last turn.
 */
import type { Lane, Row, Table } from "./Table.ts"

export class Lanes {
  private readonly table: Table
  private readonly agingMillis: number
  /** Never steps back, so that setting the clock changes no order of what comes while the store is open. */
  private nowMillis = 0

  constructor(table: Table, agingMillis: number) {
    this.table = table
    this.agingMillis = agingMillis
  }

  /** Tells the time. */
  moveTo(wallMillis: number): void {
    this.nowMillis = Math.max(this.nowMillis, wallMillis)
  }

  /** Where a job stands that can run from then on, or at once. */
  placeOf(priority: number, dueMillis: number | undefined): number {
    return Math.max(this.nowMillis, dueMillis ?? 0) - priority * this.agingMillis
  }

  /** Brings a job's lane up to date after a job of it has come, gone, started or ended; `running` is how many more run. */
  refresh({ key, name }: Pick<Row, "name" | "key">, running = 0): void {
    const { ledger } = this.table
    const head = this.table.head(name, key)
    const found = this.table.lane(name, key)
    if (found === undefined && head === undefined && running === 0) return
    const lane = found ?? { name, key, running: 0, turn: 0, sinceMillis: this.nowMillis, score: undefined }
    lane.running += running
    if (head === undefined) {
      lane.score = undefined
      if (lane.running === 0 && this.isQuits(lane)) return this.table.removeLane(lane)
    } else {
      if (lane.score === undefined) {
        lane.turn = Math.max(lane.turn, ledger.turn)
        lane.sinceMillis = this.nowMillis
      }
      lane.score = lane.turn - head.priority + lane.sinceMillis / this.agingMillis
    }
    this.table.saveLane(lane)
  }

  /** Gives a lane its turn. The job that it is for has to be started next. */
  serve(lane: Lane): void {
    const { ledger } = this.table
    const turn = Math.max(lane.turn, ledger.turn)
    ledger.turn = turn
    lane.turn = turn + 1
    lane.sinceMillis = this.nowMillis
    this.table.saveLane(lane)
  }

  /** Forgets lanes that would be dealt in anew no sooner than they would be served. */
  tidy(): void {
    for (const lane of this.table.idleLanes()) if (this.isQuits(lane)) this.table.removeLane(lane)
  }

  private isQuits({ sinceMillis, turn }: Lane): boolean {
    return turn <= this.table.ledger.turn || sinceMillis + this.agingMillis <= this.nowMillis
  }
}
