/**
 * Makes a program smaller in every way that leaves it a program, the boldest ways first.
 */
import { fewerOrLess, without } from "../laws/Search.ts"
import type { Job, Program, Step, Work } from "./Program.ts"

/** Programs that have a little less of everything. */
export function* smaller(program: Program): Iterable<Program> {
  const { clients, hook, limits, logger, rest } = program
  for (const fewer of without(clients)) if (fewer.length > 0) yield { ...program, clients: fewer }
  for (const [index, steps] of clients.entries()) {
    for (const less of fewerOrLess(steps, smallerStep)) yield { ...program, clients: clients.with(index, less) }
  }
  if (hook !== "note") yield { ...program, hook: "note" }
  if (logger !== undefined) yield { ...program, logger: undefined }
  if (rest !== undefined) yield { ...program, rest: undefined }
  for (const [name, ample] of Object.entries(plenty)) {
    const changed = { ...limits, [name]: ample }
    if (JSON.stringify(changed) !== JSON.stringify(limits)) yield { ...program, limits: changed }
  }
  for (const name of limitsToSpare) {
    const { [name]: limit, ...rest } = limits
    if (limit !== undefined) yield { ...program, limits: rest }
  }
}

const limitsToSpare = [
  "keyConcurrency",
  "aging",
  "retainFor",
  "retainResults",
  "retainResultsFor",
  "stuckAfter"
] as const

/** Limits that stand in nobody's way. How many run at once is left as it is. */
const plenty = { maxPending: 20, retain: 50, eventHistory: 500 }

function* smallerStep(step: Step): Iterable<Step> {
  if (step.do === "submit" || step.do === "run") for (const job of smallerJob(step.job)) yield { ...step, job }
  if (step.do === "run") yield { do: "submit", job: step.job }
  if (step.do === "run" && step.leaveAfter !== undefined) yield { do: "run", job: step.job }
  if (step.do === "sleep") for (const millis of less(step.millis)) yield { ...step, millis }
}

function* smallerJob(job: Job): Iterable<Job> {
  for (const work of fewerOrLess(job.work, smallerWork)) yield { ...job, work }
  for (const option of options) {
    if (job[option] === undefined) continue
    const { [option]: _, ...rest } = job
    yield rest
  }
  if (job.kind === "call") yield { ...job, kind: undefined }
  if (job.every !== undefined) yield { ...job, kind: undefined, every: undefined }
  if (job.by !== undefined) yield { ...job, by: undefined }
  if (job.end !== "succeed") yield { ...job, end: "succeed" }
}

const options = [
  "finalizer",
  "timeout",
  "key",
  "priority",
  "whenFull",
  "retry",
  "idempotencyKey",
  "owner",
  "passesOn"
] as const

function* smallerWork(work: Work): Iterable<Work> {
  if (work.do === "submit" || work.do === "run") for (const job of smallerJob(work.job)) yield { ...work, job }
  if (work.do === "run") yield { do: "submit", job: work.job }
  if (work.do === "run" && work.leaveAfter !== undefined) yield { do: "run", job: work.job }
  if (work.do === "fan out") {
    for (const jobs of fewerOrLess(work.jobs, smallerJob)) if (jobs.length > 0) yield { ...work, jobs }
    if (work.jobs.length === 1) for (const job of work.jobs) yield { do: "run", job }
  }
  if (work.do === "block") yield { do: "sleep", millis: work.millis }
  if (work.do === "sleep" || work.do === "block") for (const millis of less(work.millis)) yield { ...work, millis }
}

const less = (millis: number): ReadonlyArray<number> => (millis > 1 ? [1] : [])
