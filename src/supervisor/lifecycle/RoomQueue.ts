/**
 * Keeps those who wait for room in the queue, in the order in which they came.
 *
 * Whose job would be held, because its name or its owner is paused, may find no room where others do. It stands aside, and
 * neither keeps the others waiting nor is asked each time one of them is let in. Who waits with an idempotency key joins the
 * job of that key as soon as there is one, which needs no room.
 */
import { type Duration, Effect } from "effect"
import { Groups } from "../../core/queue/Groups.ts"
import * as Uncaught from "../../core/Uncaught.ts"
import { JobError } from "../JobError.ts"
import type { JobRecord } from "../records/JobRecord.ts"
import type { Admission } from "./Admission.ts"
import { RoomLine } from "./RoomLine.ts"
import type { SlotLending } from "./SlotLending.ts"

/**
 * Whether a submit asks for room in the queue: as a newcomer, as the one among those who wait whose turn it is, or not at
 * all, being part of a job that runs.
 */
export type Room = "asked for" | "waited for" | "not asked for"

/** A submit that waits for room. */
export interface Entry {
  /** Accepts it, once it may be. */
  readonly accept: () => JobRecord | JobError
  /** Whether its job would be held by now. */
  readonly isHeld: () => boolean
  /** The key of its job, whose limit may keep that waiting although a slot is free. */
  readonly key: string
  /** What its job will be called, and the job that will own it: they may be paused. */
  readonly name: string
  readonly parent: JobRecord | undefined
  readonly idempotencyKey: string | undefined
  /** The job that submits. */
  readonly waiter: JobRecord | undefined
  /** What it fails with when there was no room within the limit. */
  readonly refusal: JobError
  readonly limit: Duration.Duration | undefined
}

interface WaitingSubmit extends Pick<Entry, "accept" | "isHeld" | "key" | "name" | "parent" | "idempotencyKey"> {
  readonly number: number
  readonly resume: (result: Effect.Effect<JobRecord, JobError>) => void
  heapIndex: number
  isAside: boolean
}

export class RoomQueue {
  private readonly line = new RoomLine<WaitingSubmit>()
  private readonly aside = new RoomLine<WaitingSubmit>()
  private readonly waiting = new Set<WaitingSubmit>()
  // By name and by owner.
  private readonly groups = new Groups<string | JobRecord, WaitingSubmit>()
  private readonly byIdempotencyKey = new Groups<string, WaitingSubmit>()
  // The keys of which a job may have come since those who wait with them were asked.
  private known: Array<string> = []
  private lastNumber = 0
  private asksAll = false
  private isRefused = false
  private readonly admission: Admission
  private readonly lending: SlotLending
  private readonly settleSoon: () => void

  /** `settleSoon` has {@link letIn} called soon. */
  constructor(admission: Admission, lending: SlotLending, settleSoon: () => void) {
    this.admission = admission
    this.lending = lending
    this.settleSoon = settleSoon
  }

  get isEmpty(): boolean {
    return this.waiting.size === 0
  }

  /**
   * Whether somebody waits whom a newcomer may not go before: who has the same key, or could be let in. Those whose keys are at
   * their limit do not keep a free slot from everybody else.
   */
  comesFirst(key: string, isHeld: boolean): boolean {
    if (isHeld && !this.aside.isEmpty) return true
    return !this.line.isEmpty && (this.line.has(key) || this.nextFree !== undefined)
  }

  /**
   * Accepts a submit as soon as there is room, or fails with its refusal when there was none within its limit. Giving up
   * withdraws it, also when it was accepted already and nobody has its handle.
   */
  enter(entry: Entry): Effect.Effect<JobRecord, JobError> {
    const { limit, refusal, waiter } = entry
    let entered: JobRecord | JobError = refusal
    // Whoever waits for room lends the slot as well: it may be the one that would make room.
    const lent = this.lending.forSlot(waiter, this.wait({ ...entry, accept: () => (entered = entry.accept()) }))
    const limited =
      limit === undefined
        ? lent
        : Effect.timeoutOrElse(lent, {
            duration: limit,
            orElse: () => (entered instanceof JobError ? Effect.fail(refusal) : Effect.succeed(entered))
          })
    return Effect.onInterrupt(limited, () => Effect.sync(() => withdraw(entered)))
  }

  /** Has everybody asked again, for no job is accepted any more: who is refused for that waits no longer. */
  refuse(): void {
    this.isRefused = true
    this.asksAll = true
  }

  /** Sees anew whose job would be held: a name, or a job that may own others, was paused or resumed. */
  regroup(of: string | JobRecord): void {
    if (this.isEmpty) return
    for (const entry of this.groups.of(of)) {
      if (entry.isHeld() === entry.isAside) continue
      this.lineOf(entry).remove(entry)
      this.stand(entry)
    }
    this.settleSoon()
  }

  /** Has those asked who wait with an idempotency key of which there is a job now. */
  know(idempotencyKey: string): void {
    if (!this.byIdempotencyKey.has(idempotencyKey)) return
    this.known.push(idempotencyKey)
    this.settleSoon()
  }

  /** Lets in one after the other for as long as there is room, and then who needs none. */
  letIn(): void {
    const { asksAll } = this
    this.asksAll = false
    if (asksAll) for (const entry of Array.from(this.waiting)) this.ask(entry)
    for (let next = this.next; next !== undefined && this.ask(next);) next = this.next
    const { known } = this
    this.known = []
    for (const key of known) for (const entry of this.byIdempotencyKey.of(key)) this.ask(entry)
  }

  private get next(): WaitingSubmit | undefined {
    const free = this.nextFree
    const held = this.aside.first
    if (held === undefined || this.admission.isFullOfHeld) return free
    return free === undefined || isBefore(held, free) ? held : free
  }

  // Where there is no room for one that has to wait, there may be for one whose key lets it have a slot that is free.
  private get nextFree(): WaitingSubmit | undefined {
    const { admission } = this
    if (!admission.isFullOfWaiting) return this.line.first
    return admission.hasSlotLeft ? this.line.firstWhere((key) => !admission.isFull(key)) : undefined
  }

  private wait(given: Entry): Effect.Effect<JobRecord, JobError> {
    return Effect.callback((resume) => {
      const { accept, idempotencyKey, isHeld, key, name, parent } = given
      const number = ++this.lastNumber
      const entry = { accept, idempotencyKey, isHeld, key, name, parent, resume, number, heapIndex: -1, isAside: false }
      this.waiting.add(entry)
      this.groups.add(name, entry)
      if (parent !== undefined) this.groups.add(parent, entry)
      if (idempotencyKey !== undefined) this.byIdempotencyKey.add(idempotencyKey, entry)
      this.stand(entry)
      // What refuses it, or the job of its key, may have come since it was refused for want of room.
      if (this.isRefused) this.asksAll = true
      if (idempotencyKey !== undefined) this.known.push(idempotencyKey)
      this.settleSoon()
      return Effect.sync(() => this.remove(entry))
    })
  }

  private stand(entry: WaitingSubmit): void {
    entry.isAside = entry.isHeld()
    this.lineOf(entry).push(entry)
  }

  private lineOf({ isAside }: WaitingSubmit): RoomLine<WaitingSubmit> {
    return isAside ? this.aside : this.line
  }

  private remove(entry: WaitingSubmit): void {
    if (!this.waiting.delete(entry)) return
    const { idempotencyKey, name, parent } = entry
    this.lineOf(entry).remove(entry)
    this.groups.remove(name, entry)
    if (parent !== undefined) this.groups.remove(parent, entry)
    if (idempotencyKey !== undefined) this.byIdempotencyKey.remove(idempotencyKey, entry)
  }

  /** True when it waits no longer. */
  private ask(entry: WaitingSubmit): boolean {
    // Whoever was let in before may have ended its wait.
    if (!this.waiting.has(entry)) return true
    const result = entry.accept()
    if (isRefusedForRoom(result)) return false
    this.remove(entry)
    Uncaught.run(() => entry.resume(result instanceof JobError ? Effect.fail(result) : Effect.succeed(result)))
    return true
  }
}

const isBefore = (a: WaitingSubmit, b: WaitingSubmit): boolean => a.number < b.number

const isRefusedForRoom = (result: JobRecord | JobError): boolean =>
  result instanceof JobError && result.reason._tag === "QueueFull"

// By an idempotency key others may have joined it, and who comes again finds it.
const withdraw = (entered: JobRecord | JobError): void => {
  if (entered instanceof JobError || entered.idempotencyKey !== undefined) return
  entered.supervision.stop(entered, { _tag: "Cancel", reason: "its caller was interrupted" })
}
