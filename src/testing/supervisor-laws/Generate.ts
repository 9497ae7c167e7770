/**
 * Describes what is done to a supervisor under test, as plain data: what can be made from a seed, printed, made smaller
 * and run again.
 */
import { Chance } from "../seed/Chance.ts"

/** A supervisor's limits, and what several clients do with it at the same time. */
export interface Program {
  readonly limits: Limits
  /** What the failure hook does. */
  readonly hook: "note" | "slow" | "die" | "hang"
  readonly clients: ReadonlyArray<ReadonlyArray<Step>>
}

export interface Limits {
  readonly concurrency: number
  readonly keyConcurrency?: number | undefined
  readonly maxPending: number
  /** Milliseconds that are worth a point of priority. Default: a minute, which no program takes. */
  readonly aging?: number | undefined
  readonly retain: number
  /** Milliseconds. Default: for ever, as far as a program goes. */
  readonly retainFor?: number | undefined
  /** Default: as the records. */
  readonly retainResults?: number | undefined
  readonly retainResultsFor?: number | undefined
  /** Milliseconds. Default: longer than any program takes. */
  readonly stuckAfter?: number | undefined
  readonly eventHistory: number
}

/** What a client does next. A job is meant by its name; one that was not accepted, or not yet, is passed over. */
export type Step =
  | { readonly do: "submit"; readonly job: Job }
  /** Submits and waits; leaves after so many milliseconds, when there is a number. */
  | { readonly do: "run"; readonly job: Job; readonly leaveAfter?: number | undefined }
  | { readonly do: "sleep"; readonly millis: number }
  | { readonly do: "join" | "cancel" | "find" | "watch"; readonly job: string }
  /** Waits for at most so long. */
  | { readonly do: "await"; readonly job: string; readonly limit: number }
  /** Waits, and is interrupted after so many milliseconds. */
  | { readonly do: "leave"; readonly job: string; readonly after: number }
  /** Reads so many events, pausing after each, from the one after number `after`. */
  | { readonly do: "read"; readonly after: number; readonly count: number; readonly pause: number }
  | { readonly do: "list" | "prune" | "cancel all" | "close" }
  /** Waits for all jobs that live, at most for so long. */
  | { readonly do: "await all"; readonly limit: number }
  | { readonly do: "drain"; readonly deadline: number }

/** A job: what it does, how that ends, and what is said when it is submitted. */
export interface Job {
  readonly name: string
  readonly work: ReadonlyArray<Work>
  readonly end: "succeed" | "fail" | "fail once" | "die" | "never" | "interrupt"
  /** What it still does when its work has ended, by itself or not. */
  readonly finalizer?: "slow" | "die" | undefined
  /** A periodic job repeats its work, each time as a job of the same name. */
  readonly kind?: "call" | "periodic" | undefined
  /** How often a periodic job repeats it, and what it does when it still runs. */
  readonly every?: { readonly millis: number; readonly overlap: "skip" | "queue" | "cancel previous" } | undefined
  readonly timeout?: number | undefined
  readonly key?: string | undefined
  readonly priority?: number | undefined
  readonly whenFull?: "wait" | number | undefined
  /** How often to try again. */
  readonly retry?: number | undefined
  readonly idempotencyKey?: string | undefined
  readonly owner?: "supervisor" | undefined
}

/** What a job does, piece by piece. */
export type Work =
  | { readonly do: "sleep" | "block"; readonly millis: number }
  | { readonly do: "report"; readonly done: number }
  | { readonly do: "submit" | "run"; readonly job: Job }
  /** Runs them all at the same time. */
  | { readonly do: "fan out"; readonly jobs: ReadonlyArray<Job> }
  | { readonly do: "join" | "cancel"; readonly job: string }

/** Every job of a program, those that jobs submit included. */
export const jobsOf = (program: Program): ReadonlyArray<Job> =>
  program.clients
    .flat()
    .flatMap((step) => ("job" in step && typeof step.job !== "string" ? withChildren(step.job) : []))

const withChildren = (job: Job): ReadonlyArray<Job> => [
  job,
  ...job.work.flatMap((piece) => {
    if ("jobs" in piece) return piece.jobs.flatMap(withChildren)
    return "job" in piece && typeof piece.job !== "string" ? withChildren(piece.job) : []
  })
]

/** The name a job has in the program: without the marks by which jobs of that name differ. */
export const planned = (name: string): string => name.replace(/['#].*$/, "")

/** The name of a job that was submitted in these attempts of its owner, its owner's owner and so on: `b`, or `b'1.2`. */
export const nameIn = (name: string, attempts: string): string =>
  /^1(\.1)*$/.test(attempts) ? name : `${name}'${attempts}`

/** Makes a program from a seed: up to three clients with up to four steps each. */
export const generate = (seed: number): Program => new Generator(new Chance(seed)).program()

class Generator {
  private readonly chance: Chance
  private names = 0
  private hasKeys = false

  constructor(chance: Chance) {
    this.chance = chance
  }

  program(): Program {
    const { chance } = this
    this.hasKeys = chance.onceIn(3)
    const clients = Array.from({ length: 1 + chance.below(3) }, () => this.client())
    return {
      limits: {
        concurrency: chance.oneOf([1, 1, 2, 3]),
        ...(this.hasKeys ? { keyConcurrency: 1 } : {}),
        maxPending: chance.oneOf([20, 20, 2, 1]),
        ...(chance.onceIn(2) ? { aging: chance.oneOf([1, 0.1]) } : {}),
        retain: chance.oneOf([50, 50, 50, 2, 0]),
        ...(chance.onceIn(4) ? { retainFor: 1 + chance.below(8) } : {}),
        ...(chance.onceIn(4) ? { retainResults: chance.below(3) } : {}),
        ...(chance.onceIn(4) ? { retainResultsFor: 1 + chance.below(4) } : {}),
        ...(chance.onceIn(2) ? { stuckAfter: 1 + chance.below(2) } : {}),
        eventHistory: chance.oneOf([500, 500, 500, 3])
      },
      hook: chance.oneOf(["note", "note", "note", "slow", "die", "hang"]),
      clients
    }
  }

  private client(): ReadonlyArray<Step> {
    const steps: Array<Step> = [this.submit()]
    while (steps.length < 4 && !this.chance.onceIn(3)) steps.push(this.step())
    return steps
  }

  private submit(): Step {
    return { do: "submit", job: this.periodically(this.job(2)) }
  }

  private step(): Step {
    const { chance } = this
    switch (chance.below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.submit()
      case 4:
        return {
          do: "run",
          job: this.shared(this.job(1)),
          ...(chance.onceIn(2) ? { leaveAfter: chance.below(4) } : {})
        }
      case 5:
      case 6:
        return { do: "sleep", millis: chance.below(5) }
      case 7:
      case 8:
        return { do: "cancel", job: this.anyName() }
      case 9:
        return { do: "join", job: this.anyName() }
      case 10:
        return { do: "await", job: this.anyName(), limit: 1 + chance.below(5) }
      case 11:
        return { do: "leave", job: this.anyName(), after: chance.below(4) }
      case 12:
        return { do: chance.oneOf(["find", "watch"]), job: this.anyName() }
      case 13:
        return { do: "read", after: chance.below(6), count: 1 + chance.below(6), pause: chance.below(3) }
      case 14:
        return { do: "drain", deadline: chance.below(6) }
      default:
        return chance.onceIn(4)
          ? { do: "await all", limit: chance.below(4) }
          : { do: chance.oneOf(["list", "prune", "prune", "prune", "cancel all", "close"]) }
    }
  }

  private job(depth: number): Job {
    const { chance } = this
    const name = this.newName()
    const work: Array<Work> = []
    while (work.length < 3 && !chance.onceIn(2)) work.push(this.work(depth))
    const isCall = chance.onceIn(12)
    return {
      name,
      work,
      end: chance.oneOf(["succeed", "succeed", "succeed", "fail", "fail once", "die", "never", "never", "interrupt"]),
      ...(chance.onceIn(3) ? { finalizer: chance.oneOf(["slow", "slow", "die"]) } : {}),
      ...(isCall ? { kind: "call" } : {}),
      ...(chance.onceIn(3) ? { timeout: 1 + chance.below(4) } : {}),
      ...(chance.onceIn(this.hasKeys ? 1 : 6) ? { key: chance.oneOf(["red", "red", "blue"]) } : {}),
      ...(chance.onceIn(4) ? { priority: chance.oneOf([-10, 10, 20]) } : {}),
      ...(chance.onceIn(4) ? { whenFull: chance.onceIn(2) ? "wait" : 2 } : {}),
      ...(chance.onceIn(6) ? { retry: 1 + chance.below(2) } : {}),
      // Whoever joins a job takes it for one that has a slot to wait for.
      ...(chance.onceIn(12) && !isCall ? { idempotencyKey: "same" } : {}),
      ...(chance.onceIn(8) ? { owner: "supervisor" } : {})
    }
  }

  private periodically(job: Job): Job {
    const { chance } = this
    if (!chance.onceIn(20)) return job
    const { end, finalizer, name, timeout, work } = job
    const every = { millis: 3 + chance.below(9), overlap: chance.oneOf(["skip", "queue", "cancel previous"]) }
    return { name, work, end, finalizer, timeout, kind: "periodic", every }
  }

  private shared(job: Job): Job {
    return job.kind === undefined && this.chance.onceIn(3) ? { ...job, idempotencyKey: "same" } : job
  }

  private work(depth: number): Work {
    const { chance } = this
    switch (chance.below(depth > 0 ? 10 : 5)) {
      case 0:
      case 1:
      case 2:
        return { do: "sleep", millis: chance.below(4) }
      case 3:
        return { do: "block", millis: chance.below(4) }
      case 4:
        return chance.onceIn(2) ? { do: "report", done: chance.below(4) } : { do: "cancel", job: this.anyName() }
      case 5:
      case 6:
        return { do: "submit", job: this.periodically(this.job(depth - 1)) }
      case 7:
        return { do: "run", job: this.shared(this.job(depth - 1)) }
      case 8: {
        const jobs = Array.from({ length: 2 + chance.below(3) }, () => ({ ...this.job(depth - 1), kind: undefined }))
        return { do: "fan out", jobs }
      }
      default:
        return { do: "join", job: this.anyName() }
    }
  }

  private newName(): string {
    return nameOf(this.names++)
  }

  private anyName(): string {
    return nameOf(this.chance.below(this.names + 2))
  }
}

const nameOf = (index: number): string =>
  String.fromCharCode(97 + (index % 26)) + (index < 26 ? "" : Math.floor(index / 26))
