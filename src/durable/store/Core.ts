/**
 * The rules of a store: what each request does to the rows of a table. Synchronous, and the same for every table.
 *
 * Leases are not kept with the rows: whoever opens a table has lost all workers, and requeues what they ran.
 */
import type { Claim, Job, Signal, Token } from "./Job.ts"
import { Lanes } from "./Lanes.ts"
import type { Answer, Name, Operation, Question } from "./Operation.ts"
import type { Lane, StoredRow, Table } from "./Table.ts"
import { type Instant, Transitions } from "./Transitions.ts"

/** What a store is told once. */
export interface Settings {
  readonly leaseMillis: number
  readonly agingMillis: number
  /** A job with which so many workers in a row are lost has failed. */
  readonly maxLost: number
}

type Handlers = { readonly [N in Name]: (of: Question<N>, at: Instant) => Answer<N> }

/** Jobs whose time has come that one claim looks at. */
const mostPromoted = 1_000

export class Core {
  private readonly table: Table
  private readonly settings: Settings
  private readonly lanes: Lanes
  private readonly moves: Transitions
  /** Until when claims are held, by the id of their job. */
  private readonly leases = new Map<string, { readonly claim: number; readonly untilMillis: number }>()
  private signals: Array<Signal> = []

  constructor(table: Table, settings: Settings) {
    this.table = table
    this.settings = settings
    this.lanes = new Lanes(table, settings.agingMillis)
    this.moves = new Transitions(table, this.lanes, (signal) => this.signals.push(signal))
  }

  /** Does what is asked. */
  apply<Op extends Operation>(operation: Op): Answer<Op["is"]>
  apply({ at, is, of }: Operation): Answer<Name> {
    this.lanes.moveTo(at.wallMillis)
    // Name and question belong together, which the compiler cannot see of a union.
    return (this.handlers[is] as (of: unknown, at: Instant) => Answer<Name>)(of, at)
  }

  /** Takes back what ran when the table was closed, or its process died. */
  recover(at: Instant): void {
    this.lanes.moveTo(at.wallMillis)
    for (const row of this.table.running()) this.moves.lose(row, this.settings.maxLost, at)
  }

  /** What happened since it was last asked for. */
  takeSignals(): ReadonlyArray<Signal> {
    const { signals } = this
    this.signals = []
    return signals
  }

  private readonly handlers: Handlers = {
    submit: ({ jobs }, at) =>
      jobs.map((job) => {
        const { key = "", idempotencyKey, name } = job
        const found =
          this.table.find(job.id) ??
          (idempotencyKey === undefined ? undefined : this.table.findByIdempotencyKey(name, key, idempotencyKey))
        if (found !== undefined) return { id: found.id, isNew: false }
        const { priority = 0, dueMillis } = job
        const due = dueMillis !== undefined && dueMillis > at.wallMillis ? dueMillis : undefined
        this.moves.insert(
          {
            id: job.id,
            name,
            version: job.version ?? 1,
            key,
            priority,
            idempotencyKey,
            metadata: job.metadata ?? {},
            payload: job.payload,
            submittedAtMillis: at.wallMillis,
            state: "pending",
            place: this.lanes.placeOf(priority, due),
            dueMillis: due,
            attempt: 0,
            lost: 0,
            claims: 0,
            worker: undefined,
            cancelReason: undefined,
            startedAtMillis: undefined,
            endedAtMillis: undefined,
            events: 0,
            progress: undefined,
            result: undefined
          },
          at
        )
        return { id: job.id, isNew: true }
      }),

    claim: ({ want }, at) => {
      for (let looked = 0; looked < mostPromoted; looked++) {
        const row = this.table.firstDue(at.wallMillis)
        if (row === undefined) break
        this.moves.promote(row)
      }
      const rooms = want.names.map(({ keyLimit = Infinity, limit, name }) => ({
        name,
        keyLimit,
        room: limit === undefined ? Infinity : limit - this.table.countRunning(name)
      }))
      const claims: Array<Claim> = []
      while (claims.length < want.slots) {
        let first: { readonly lane: Lane; readonly of: (typeof rooms)[number] } | undefined
        for (const of of rooms) {
          const lane = of.room > 0 ? this.table.firstLane(of.name, of.keyLimit) : undefined
          if (lane !== undefined && (first === undefined || isBefore(lane, first.lane))) first = { lane, of }
        }
        const row = first === undefined ? undefined : this.table.head(first.lane.name, first.lane.key)
        if (first === undefined || row === undefined) break
        first.of.room--
        this.lanes.serve(first.lane)
        this.moves.start(row, want.worker, at)
        this.hold(row, at)
        claims.push({ job: jobOf(row), payload: row.payload, token: { id: row.id, claim: row.claims } })
      }
      return claims
    },

    renew: ({ held }, at) => {
      const lost: Array<Token> = []
      const cancel: Array<{ readonly token: Token; readonly reason: string }> = []
      for (const token of held) {
        const row = this.held(token)
        if (row === undefined) {
          lost.push(token)
          continue
        }
        this.hold(row, at)
        if (row.cancelReason !== undefined) cancel.push({ token, reason: row.cancelReason })
      }
      return { lost, cancel }
    },

    settle: ({ ends }, at) =>
      ends.map(({ outcome, token }) => {
        const row = this.held(token)
        if (row === undefined) return "stale"
        this.leases.delete(row.id)
        if (outcome._tag === "Completed") this.moves.complete(row, outcome.result, at)
        if (outcome._tag === "Failed") this.moves.fail(row, outcome.error, at)
        if (outcome._tag === "RetryAt") this.moves.retryAt(row, outcome.error, outcome.atMillis, at)
        if (outcome._tag === "Cancelled") this.moves.cancel(row, outcome.reason, at)
        if (outcome._tag === "Released") this.moves.release(row, at)
        return "settled"
      }),

    record: ({ entries, token }, at) => {
      const row = this.held(token)
      if (row === undefined) return "stale"
      for (const entry of entries) {
        if (entry._tag === "Step") {
          if (!this.table.addStep(row, entry)) continue
          this.moves.say(row, "Step", at, entry.name)
        } else {
          if (entry._tag === "Progress") row.progress = entry.value
          this.moves.say(row, entry._tag, at, entry.value)
        }
      }
      this.table.save(row)
      this.signals.push({ _tag: "Reported", id: row.id })
      return "recorded"
    },

    cancel: ({ reason, which }, at) =>
      this.table.select(which.ids === undefined ? living(which) : which, Infinity, Infinity).map((row) => {
        if (row.state === "pending") {
          this.moves.cancel(row, reason, at)
          return { id: row.id, is: "cancelled" }
        }
        if (row.state !== "running") return { id: row.id, is: "ended" }
        this.moves.requestCancel(row, reason, at)
        return { id: row.id, is: "requested" }
      }),

    requeue: ({ which }, at) => {
      const rows = this.table
        .select(which, Infinity, Infinity)
        .filter(({ state }) => state === "failed" || state === "cancelled")
      for (const row of rows) this.moves.requeue(row, at)
      return rows.length
    },

    get: ({ id }) => {
      const row = this.table.find(id)
      return row === undefined ? undefined : jobOf(row)
    },
    steps: ({ id }) => this.ofRow(id, (row) => this.table.steps(row)),
    attempts: ({ id }) => this.ofRow(id, (row) => this.table.attempts(row)),
    events: ({ after, id }) => this.ofRow(id, (row) => this.table.events(row, after)),
    list: ({ before, filter, limit }) => {
      const rows = this.table.select(filter, before, limit + 1)
      const page = rows.slice(0, limit)
      return { jobs: page.map(jobOf), next: rows.length > limit ? page.at(-1)?.position : undefined }
    },
    count: ({ filter }) => this.table.count(filter),

    expire: (_, at) => {
      let lost = 0
      for (const row of this.table.running()) {
        const lease = this.leases.get(row.id)
        // A lease is missing when the request that gave it was taken back.
        if (lease === undefined || lease.claim !== row.claims) this.hold(row, at)
        else if (lease.untilMillis <= at.monotonicMillis) {
          this.leases.delete(row.id)
          this.moves.lose(row, this.settings.maxLost, at)
          lost++
        }
      }
      return lost
    },

    prune: ({ bounds: { ageMillis = Infinity, characters = Infinity, count = Infinity }, limit }, at) => {
      const { ledger } = this.table
      let removed = 0
      while (removed < limit) {
        const row = this.table.firstEnded()
        const isOld = (row?.endedAtMillis ?? Infinity) <= at.wallMillis - ageMillis
        if (row === undefined || (!isOld && ledger.ended <= count && ledger.characters <= characters)) break
        this.moves.remove(row)
        removed++
      }
      this.lanes.tidy()
      return removed
    }
  }

  /** The row whose newest claim has this token, while it runs. */
  private held({ claim, id }: Token): StoredRow | undefined {
    const row = this.table.find(id)
    return row?.state === "running" && row.claims === claim ? row : undefined
  }

  private hold(row: StoredRow, at: Instant): void {
    this.leases.set(row.id, { claim: row.claims, untilMillis: at.monotonicMillis + this.settings.leaseMillis })
  }

  private ofRow<A>(id: string, read: (row: StoredRow) => ReadonlyArray<A>): ReadonlyArray<A> {
    const row = this.table.find(id)
    return row === undefined ? [] : read(row)
  }
}

const isBefore = (one: Lane, other: Lane): boolean => (one.score ?? Infinity) < (other.score ?? Infinity)

const living = (filter: Parameters<Table["select"]>[0]) => ({
  ...filter,
  states: (["pending", "running"] as const).filter((state) => filter.states?.includes(state) ?? true)
})

const jobOf = (row: StoredRow): Job => ({
  id: row.id,
  name: row.name,
  version: row.version,
  key: row.key,
  priority: row.priority,
  state: row.state,
  dueMillis: row.dueMillis,
  idempotencyKey: row.idempotencyKey,
  metadata: row.metadata,
  attempt: row.attempt,
  lost: row.lost,
  claims: row.claims,
  worker: row.worker,
  cancelReason: row.cancelReason,
  submittedAtMillis: row.submittedAtMillis,
  startedAtMillis: row.startedAtMillis,
  endedAtMillis: row.endedAtMillis,
  events: row.events,
  progress: row.progress,
  result: row.result
})
