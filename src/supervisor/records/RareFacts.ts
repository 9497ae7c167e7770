/**
 * Keeps what only few jobs have beside their record: most have none of it, and need no memory for it.
 */
import type { Fiber } from "effect"
import type { Progress } from "../../core/JobEvent.ts"
import type { Stop } from "./Outcome.ts"
import type { Rounds } from "./Rounds.ts"

type Listeners = Set<() => void>

class Facts<Record> {
  progress: Progress | undefined = undefined
  rounds: Rounds | undefined = undefined
  stop: Stop | undefined = undefined
  stoppedAtMillis: number | undefined = undefined
  waits = 0
  lentMillis = 0
  timer: Fiber.Fiber<unknown, unknown> | undefined = undefined
  children: Set<Record> | undefined = undefined
  endListeners: Listeners | undefined = undefined
  progressListeners: Listeners | undefined = undefined
}

/** What few jobs have of all that a `Record` of a job says. */
export abstract class RareFacts<Record> {
  private facts: Facts<Record> | undefined = undefined

  /** How far it is, as it reported last. */
  get progress(): Progress | undefined {
    return this.facts?.progress
  }

  set progress(progress: Progress | undefined) {
    this.own().progress = progress
  }

  /** Present for periodic jobs. */
  get rounds(): Rounds | undefined {
    return this.facts?.rounds
  }

  set rounds(rounds: Rounds | undefined) {
    this.own().rounds = rounds
  }

  /** Why it was asked to end. */
  get stop(): Stop | undefined {
    return this.facts?.stop
  }

  set stop(stop: Stop | undefined) {
    this.own().stop = stop
  }

  /** When it was asked to end, in the supervisor's own time. */
  get stoppedAtMillis(): number | undefined {
    return this.facts?.stoppedAtMillis
  }

  set stoppedAtMillis(millis: number | undefined) {
    this.own().stoppedAtMillis = millis
  }

  /** How many of its fibers wait for a job, and so lend its slot: see `SlotLending`. */
  get waits(): number {
    return this.facts === undefined ? 0 : this.facts.waits
  }

  set waits(waits: number) {
    this.own().waits = waits
  }

  /** For how long it has lent its slot; while it does, that less the time at which it began to. */
  get lentMillis(): number {
    return this.facts === undefined ? 0 : this.facts.lentMillis
  }

  set lentMillis(millis: number) {
    this.own().lentMillis = millis
  }

  /** Ends it when its time is up. */
  get timer(): Fiber.Fiber<unknown, unknown> | undefined {
    return this.facts?.timer
  }

  set timer(timer: Fiber.Fiber<unknown, unknown> | undefined) {
    if (this.facts !== undefined || timer !== undefined) this.own().timer = timer
  }

  /** Jobs this one owns that have not ended. */
  get children(): Set<Record> | undefined {
    return this.facts?.children
  }

  set children(children: Set<Record> | undefined) {
    if (this.facts !== undefined || children !== undefined) this.own().children = children
  }

  /** Calls `listener` once, when the job has ended; returns how to withdraw. */
  onEnd(listener: () => void): () => void {
    const listeners = (this.own().endListeners ??= new Set())
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  /** Calls `listener` once, when the job has ended or reported its progress; returns how to withdraw. */
  onProgress(listener: () => void): () => void {
    const listeners = (this.own().progressListeners ??= new Set())
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  takeEndListeners(): Listeners | undefined {
    const { facts } = this
    const listeners = facts?.endListeners
    if (facts !== undefined) facts.endListeners = undefined
    return listeners
  }

  takeProgressListeners(): Listeners | undefined {
    const { facts } = this
    const listeners = facts?.progressListeners
    if (facts !== undefined) facts.progressListeners = undefined
    return listeners
  }

  /** Gives a copy of a record facts of its own. Whoever waits for the original is on the way with that. */
  protected separate(): void {
    if (this.facts === undefined) return
    this.facts = Object.assign(new Facts<Record>(), this.facts, {
      endListeners: undefined,
      progressListeners: undefined
    })
  }

  private own(): Facts<Record> {
    return (this.facts ??= new Facts<Record>())
  }
}
