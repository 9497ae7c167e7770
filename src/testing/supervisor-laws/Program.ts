/**
 * Describes what is done to a supervisor under test, as plain data: what can be made from a seed, printed, made smaller
 * and run again.
 */
import type * as SeededScheduler from "../SeededScheduler.ts"

/** A supervisor's limits, and what several clients do with it at the same time. */
export interface Program {
  /** In which order its fibers go on: as a seed chooses, or with one preemption at a point. */
  readonly order: Pick<SeededScheduler.Options, "seed" | "preempt">
  readonly limits: Limits
  /** What the failure hook does: `alert` submits a job, which fails as well. */
  readonly hook: "note" | "slow" | "die" | "throw" | "hang" | "alert"
  /** What a logger that hears before the others does. Default: there is none. */
  readonly logger?: "throw" | undefined
  readonly clients: ReadonlyArray<ReadonlyArray<Step>>
  /** For how long the jobs are left to themselves once all clients are done, in milliseconds. Default: not at all. */
  readonly rest?: number | undefined
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
  | { readonly do: "join" | "cancel" | "find" | "watch" | "pause" | "resume"; readonly job: string }
  | { readonly do: "pause name" | "resume name"; readonly name: string }
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
  /** Sets the wall clock forward by so many milliseconds, or back. */
  | { readonly do: "set clock"; readonly by: number }

/** A job: what it does, how that ends, and what is said when it is submitted. */
export interface Job {
  readonly name: string
  /** What the work is: an async function, made work by `Job.promise`. Default: an Effect. */
  readonly by?: "promise" | undefined
  readonly work: ReadonlyArray<Work>
  readonly end: "succeed" | "fail" | "fail badly" | "fail once" | "die" | "never" | "interrupt"
  /** Whether it fails with the error of a job that it waits for, or is refused. Default: that is nothing to it. */
  readonly passesOn?: true | undefined
  /** What it still does when its work has ended, by itself or not. */
  readonly finalizer?: "slow" | "die" | undefined
  /** A periodic job repeats its work, each time as a job of the same name. */
  readonly kind?: "call" | "periodic" | undefined
  /** How often a periodic job repeats it, and what it does when it still runs. */
  readonly every?: { readonly millis: number; readonly overlap: "skip" | "queue" | "cancel previous" } | undefined
  readonly timeout?: number | undefined
  /** Default: its owner's. */
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
  | { readonly do: "submit"; readonly job: Job }
  /** Submits and waits; gives up after so many milliseconds, when there is a number. */
  | { readonly do: "run"; readonly job: Job; readonly leaveAfter?: number | undefined }
  /** Runs them all at the same time. */
  | { readonly do: "fan out"; readonly jobs: ReadonlyArray<Job> }
  | { readonly do: "join" | "cancel"; readonly job: string }
  /** Waits for at most so long: by the limit of the call, or given up from outside by `Effect.timeout`. */
  | { readonly do: "await" | "give up"; readonly job: string; readonly limit: number }
  | { readonly do: "drain"; readonly deadline: number }
  | { readonly do: "cancel all" }

/** Every job of a program, those that jobs and the hook submit included, each with the key that it has: its own or its owner's. */
export const jobsOf = ({ clients, hook }: Program): ReadonlyArray<Job> =>
  clients
    .flat()
    .flatMap((step) => ("job" in step && typeof step.job !== "string" ? withChildren(step.job, undefined) : []))
    .concat(hook === "alert" ? alert : [])

/** What the hook submits for each failure that it hears of. */
export const alert: Job = { name: "alert", work: [], end: "fail" }

const withChildren = (job: Job, ownersKey: string | undefined): ReadonlyArray<Job> => {
  const key = keyOf(job, ownersKey)
  return [
    { ...job, key },
    ...job.work.flatMap((piece) => {
      if ("jobs" in piece) return piece.jobs.flatMap((child) => withChildren(child, key))
      return "job" in piece && typeof piece.job !== "string" ? withChildren(piece.job, key) : []
    })
  ]
}

// What repeats is given none of its own.
const keyOf = ({ every, key, owner }: Job, ownersKey: string | undefined): string | undefined => {
  if (key !== undefined && every === undefined) return key === "" ? undefined : key
  return owner === "supervisor" ? undefined : ownersKey
}

/**
 * The idempotency key of all jobs that share one, and the name they are submitted with: a key counts per name. What they are
 * called in the program is their id.
 */
export const sharedKey = "same"

/** The name a job has in the program: without the marks by which jobs of that name differ. */
export const planned = (name: string): string => name.replace(/['#].*$/, "")

/** The name a job was submitted with, which all rounds of a periodic job have, and all that share an idempotency key. */
export const submittedName = ({ name, plan }: { readonly name: string; readonly plan: Job }): string =>
  plan.idempotencyKey ?? name.replace(/#.*$/, "")

/** Whether jobs or names are paused in a program. */
export const hasPauses = ({ clients }: Program): boolean =>
  clients.flat().some((step) => step.do === "pause" || step.do === "pause name")

/** Whether the wall clock is set in a program: then dates do not tell times. */
export const setsClock = ({ clients }: Program): boolean => clients.flat().some((step) => step.do === "set clock")

/** The name of a job that was submitted in these attempts of its owner, its owner's owner and so on: `b`, or `b'1.2`. */
export const nameIn = (name: string, attempts: string): string =>
  /^1(\.1)*$/.test(attempts) ? name : `${name}'${attempts}`
