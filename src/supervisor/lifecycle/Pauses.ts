/**
 * Remembers which jobs and names are paused, and which pending jobs are held back by that.
 *
 * A held job is pending and keeps its place and its age; it only stands beside the waiting line until it is resumed.
 */
import { Groups } from "../../core/queue/Groups.ts"
import { JobError, TooManyPaused } from "../JobError.ts"
import * as JobId from "../records/JobId.ts"
import type { JobRecord } from "../records/JobRecord.ts"

/** How many names may be paused at the same time. */
export const maxNames = 1_000

/** What is done with jobs that are held, and let go again. */
export interface HeldJobs {
  readonly withdraw: (record: JobRecord) => void
  readonly lineUp: (record: JobRecord) => void
  readonly emit: (record: JobRecord, event: typeof paused | typeof resumed) => void
  /** Called when jobs to come of a name or of an owner may be held that were not, or the other way round. */
  readonly regroup: (of: string | JobRecord) => void
}

const paused = { _tag: "JobPaused" } as const
const resumed = { _tag: "JobResumed" } as const

export class Pauses {
  private readonly names = new Set<string>()
  // Paused by themselves, whatever their name.
  private readonly jobs = new Set<JobRecord>()
  private readonly held = new Set<JobRecord>()
  // Those that live, by name, once a name was paused: most supervisors never need it.
  private byName: Groups<string, JobRecord> | undefined = undefined
  private heldOfLine = 0
  private readonly line: HeldJobs

  constructor(line: HeldJobs) {
    this.line = line
  }

  /** How many jobs are held that would else wait for a slot. */
  get waiting(): number {
    return this.heldOfLine
  }

  /** How many jobs are held. */
  get size(): number {
    return this.held.size
  }

  get pausedNames(): ReadonlyArray<string> {
    return Array.from(this.names)
  }

  /** Pauses or resumes a job that may be: one that is pending, or a periodic one, whose rounds are held then. */
  pause(record: JobRecord, isPaused: boolean): void {
    if (isPaused) {
      if (!mayBePaused(record) || this.jobs.has(record)) return
      this.jobs.add(record)
    } else if (!this.jobs.delete(record)) return
    if (record.state === "running") this.line.emit(record, isPaused ? paused : resumed)
    this.see(record)
    for (const child of record.children ?? []) this.see(child)
    this.line.regroup(record)
  }

  /** Pauses a name, with those of `live` that have it, unless as many names as may be are paused. */
  pauseName(name: string, live: Iterable<JobRecord>): JobError | undefined {
    if (!this.names.has(name) && this.names.size >= maxNames) {
      return new JobError({ id: name, reason: new TooManyPaused({ names: maxNames }) })
    }
    this.names.add(name)
    if (this.byName === undefined) {
      this.byName = new Groups()
      for (const record of live) this.byName.add(record.name, record)
    }
    this.seeAll(name)
    return undefined
  }

  resumeName(name: string): void {
    if (this.names.delete(name)) this.seeAll(name)
  }

  private seeAll(name: string): void {
    for (const record of this.byName?.of(name) ?? []) this.see(record)
    this.line.regroup(name)
  }

  /** Takes in a job that was submitted, and holds it if that is right. */
  add(record: JobRecord): void {
    this.byName?.add(record.name, record)
    this.see(record)
  }

  /** True for a job that is held, and a periodic one that is paused. */
  isPaused(record: JobRecord): boolean {
    return this.held.has(record) || this.jobs.has(record)
  }

  isHeld(record: JobRecord): boolean {
    return this.held.has(record)
  }

  /** Whether a job that is submitted so is to be held. */
  covers({ givenName, jobId }: Pick<JobRecord, "givenName" | "jobId">, parent: JobRecord | undefined): boolean {
    if (this.names.size === 0 && this.jobs.size === 0) return false
    return this.names.has(givenName ?? JobId.toText(jobId)) || (parent?.kind === "periodic" && this.jobs.has(parent))
  }

  /** Holds a job in the line, or lets one go, as is right by now. */
  see(record: JobRecord): void {
    if (this.names.size === 0 && this.jobs.size === 0 && this.held.size === 0) return
    const isHeld = this.held.has(record)
    if (this.shouldHold(record) === isHeld) return
    if (isHeld) {
      this.release(record)
      this.line.lineUp(record)
    } else {
      this.line.withdraw(record)
      this.held.add(record)
      if (record.kind === "job") this.heldOfLine++
    }
    this.line.emit(record, isHeld ? resumed : paused)
  }

  /** Forgets a job that ends; true when it was held. */
  forget(record: JobRecord): boolean {
    this.byName?.remove(record.name, record)
    if (this.jobs.size > 0) this.jobs.delete(record)
    return this.held.size > 0 && this.release(record)
  }

  private shouldHold(record: JobRecord): boolean {
    if (record.kind === "call" || record.state !== "pending" || record.stop !== undefined) return false
    return this.jobs.has(record) || this.covers(record, record.parent)
  }

  private release(record: JobRecord): boolean {
    if (!this.held.delete(record)) return false
    if (record.kind === "job") this.heldOfLine--
    return true
  }
}

const mayBePaused = ({ kind, result, state, stop }: JobRecord): boolean =>
  result === undefined && stop === undefined && (kind === "periodic" || (kind === "job" && state === "pending"))
