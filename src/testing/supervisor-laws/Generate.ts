/**
 * Makes programs from seeds.
 */
import { Chance } from "../seed/Chance.ts"
import { type Job, type Program, sharedKey, type Step, type Work } from "./Program.ts"
import { specials } from "./Specials.ts"
import { specialsOfKeys } from "./SpecialsOfKeys.ts"
import { specialsOfRounds } from "./SpecialsOfRounds.ts"

/**
 * Makes a program from a seed: up to three clients with up to four steps each, or one of those for what chance seldom brings
 * about.
 */
export const generate = (seed: number): Program => {
  const chance = new Chance(seed)
  return chance.onceIn(8)
    ? { ...chance.oneOf([...specials, ...specialsOfRounds, ...specialsOfKeys]), order: { seed: chance.below(2 ** 31) } }
    : new Generator(chance).program()
}

class Generator {
  private readonly chance: Chance
  private names = 0
  private hasKeys = false
  // Promises settle between the turns of fibers, which takes time.
  private hasPromises = false

  constructor(chance: Chance) {
    this.chance = chance
  }

  program(): Program {
    const { chance } = this
    this.hasKeys = chance.onceIn(3)
    this.hasPromises = chance.onceIn(8)
    const clients = Array.from({ length: 1 + chance.below(3) }, () => this.client())
    return {
      order: { seed: chance.below(2 ** 31) },
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
      hook: chance.oneOf(["note", "note", "note", "slow", "die", "throw", "hang", "alert"]),
      ...(chance.onceIn(8) ? { logger: "throw" } : {}),
      clients,
      ...(chance.onceIn(3) ? { rest: chance.oneOf([8, 8, 60]) } : {})
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
    switch (chance.below(18)) {
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
      case 15:
        return { do: "set clock", by: chance.oneOf([-3_600_000, -2, 2, 3_600_000]) }
      case 16:
        return chance.onceIn(2)
          ? { do: chance.oneOf(["pause", "pause", "resume"]), job: this.anyName() }
          : { do: chance.oneOf(["pause name", "pause name", "resume name"]), name: this.anyName() }
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
    const isPromise = this.hasPromises && chance.onceIn(3)
    while (work.length < 3 && !chance.onceIn(2)) work.push(isPromise ? this.promised(depth) : this.work(depth))
    const isCall = chance.onceIn(12)
    const end = chance.oneOf(ends)
    return {
      name,
      ...(isPromise ? { by: "promise" } : {}),
      work,
      end: isPromise && (end === "die" || end === "interrupt") ? "fail" : end,
      ...(chance.onceIn(3) ? { finalizer: chance.oneOf(["slow", "slow", "die"]) } : {}),
      ...(isCall ? { kind: "call" } : {}),
      ...(chance.onceIn(3) ? { timeout: 1 + chance.below(4) } : {}),
      ...(chance.onceIn(this.hasKeys ? 1 : 6) ? this.key(name, depth) : {}),
      ...(chance.onceIn(4) ? { priority: chance.oneOf([-10, 10, 20]) } : {}),
      ...(chance.onceIn(4) ? { whenFull: chance.onceIn(2) ? "wait" : 2 } : {}),
      ...(chance.onceIn(6) ? { retry: 1 + chance.below(2) } : {}),
      ...(chance.onceIn(12) ? { idempotencyKey: sharedKey } : {}),
      ...(chance.onceIn(8) ? { owner: "supervisor" } : {}),
      ...(work.some(({ do: what }) => passing.has(what)) && chance.onceIn(3) ? { passesOn: true } : {})
    }
  }

  /** Half of those that may be jobs of jobs are given none, and have their owner's. */
  private key(name: string, depth: number): { readonly key?: string } {
    const { chance } = this
    if (depth < 2 && chance.onceIn(2)) return {}
    const keys = ["red", "red", "blue", `of ${name}`, `of ${name}`] as const
    return { key: depth < 2 && chance.onceIn(6) ? "" : chance.oneOf(keys) }
  }

  private periodically(job: Job): Job {
    const { chance } = this
    if (!chance.onceIn(20)) return job
    const { end, finalizer, name, timeout, work } = job
    const key = chance.onceIn(3) ? { idempotencyKey: sharedKey } : {}
    const every = { millis: 3 + chance.below(9), overlap: chance.oneOf(["skip", "queue", "cancel previous"]) }
    return { name, work, end, finalizer, timeout, kind: "periodic", every, ...key }
  }

  private shared(job: Job): Job {
    return this.chance.onceIn(3) ? { ...job, idempotencyKey: sharedKey } : job
  }

  private work(depth: number): Work {
    const { chance } = this
    switch (chance.below(depth > 0 ? 12 : 6)) {
      case 0:
      case 1:
      case 2:
        return { do: "sleep", millis: chance.below(4) }
      case 3:
        return { do: "block", millis: chance.below(4) }
      case 4:
        return chance.onceIn(2) ? { do: "report", done: chance.below(4) } : { do: "cancel", job: this.anyName() }
      case 5:
        return this.stop()
      case 6:
      case 7:
        return { do: "submit", job: this.periodically(this.job(depth - 1)) }
      case 8:
        return {
          do: "run",
          job: this.shared(this.job(depth - 1)),
          ...(chance.onceIn(2) ? { leaveAfter: chance.below(4) } : {})
        }
      case 9: {
        const jobs = Array.from({ length: 2 + chance.below(3) }, () => ({ ...this.job(depth - 1), kind: undefined }))
        return { do: "fan out", jobs }
      }
      case 10:
        return { do: chance.oneOf(["await", "give up"]), job: this.anyName(), limit: chance.below(4) }
      default:
        return { do: "join", job: this.anyName() }
    }
  }

  /** What an async function has tools for. A promise that was rejected does not tell a defect from a failure. */
  private promised(depth: number): Work {
    const { chance } = this
    const child = () => {
      const { finalizer, ...job } = this.job(depth - 1)
      return finalizer === "slow" ? { ...job, finalizer } : job
    }
    switch (chance.below(depth > 0 ? 8 : 4)) {
      case 0:
      case 1:
        return { do: "sleep", millis: chance.below(4) }
      case 2:
        return { do: "block", millis: chance.below(4) }
      case 3:
        return { do: "report", done: chance.below(4) }
      case 4:
        return { do: "submit", job: child() }
      case 5:
        return { do: "fan out", jobs: [child(), child()].map((job) => ({ ...job, kind: undefined })) }
      default:
        return { do: "run", job: this.shared(child()) }
    }
  }

  /** Stops others from within a job, which few jobs do. */
  private stop(): Work {
    const { chance } = this
    if (chance.onceIn(4)) return { do: "drain", deadline: chance.below(6) }
    return chance.onceIn(4) ? { do: "cancel all" } : { do: "cancel", job: this.anyName() }
  }

  private newName(): string {
    return nameOf(this.names++)
  }

  private anyName(): string {
    return nameOf(this.chance.below(this.names + 2))
  }
}

/** What brings an error that a job may pass on. */
const passing = new Set<Work["do"]>(["run", "fan out", "join", "await"])

const ends = [
  "succeed",
  "succeed",
  "succeed",
  "fail",
  "fail badly",
  "fail once",
  "die",
  "never",
  "never",
  "interrupt"
] as const

const nameOf = (index: number): string =>
  String.fromCharCode(97 + (index % 26)) + (index < 26 ? "" : Math.floor(index / 26))
