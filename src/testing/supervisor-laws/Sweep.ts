/**
 * The programs of a sweep: every public call against every other one, with a job that runs and one that waits.
 */
import { sharedKey, type Step, type Work } from "./Program.ts"
import { job, specials, type Unordered } from "./Specials.ts"
import { specialsOfKeys } from "./SpecialsOfKeys.ts"
import { specialsOfRounds } from "./SpecialsOfRounds.ts"

/** A client's call that is made within a job. */
const inJob = (name: string, ...work: ReadonlyArray<Work>): Step => ({
  do: "submit",
  job: { ...job(name, ...work), kind: "call" }
})

// The job `r` runs, with a finalizer that takes time; `p` waits for its slot, and will fail.
const setting: ReadonlyArray<Step> = [
  { do: "submit", job: { ...job("r", { do: "sleep", millis: 2 }), finalizer: "slow", timeout: 3 } },
  { do: "submit", job: { ...job("p", { do: "report", done: 2 }), end: "fail" } }
]

/** Every public call of the supervisor and of its jobs, made by a client whose jobs are named after it. */
const callsOf = (client: string): ReadonlyArray<Step> => [
  { do: "submit", job: job(`${client}submit`) },
  { do: "submit", job: { ...job(`${client}enter`), whenFull: "wait" } },
  { do: "submit", job: { ...job(`${client}enter2`), whenFull: 2 } },
  { do: "submit", job: { ...job(`${client}once`), idempotencyKey: sharedKey } },
  { do: "submit", job: { ...job(`${client}retry`), end: "fail once", retry: 1 } },
  { do: "run", job: job(`${client}run`) },
  { do: "run", job: job(`${client}runAndLeave`), leaveAfter: 1 },
  { do: "run", job: { ...job(`${client}runShared`, { do: "sleep", millis: 2 }), idempotencyKey: sharedKey } },
  {
    do: "run",
    job: { ...job(`${client}leaveShared`, { do: "sleep", millis: 2 }), idempotencyKey: sharedKey },
    leaveAfter: 1
  },
  { do: "find", job: "p" },
  { do: "list" },
  { do: "read", after: 1, count: 4, pause: 0 },
  { do: "join", job: "r" },
  { do: "join", job: "p" },
  { do: "await", job: "p", limit: 2 },
  { do: "leave", job: "r", after: 1 },
  { do: "watch", job: "p" },
  { do: "cancel", job: "r" },
  { do: "cancel", job: "p" },
  { do: "pause", job: "p" },
  { do: "resume", job: "p" },
  { do: "pause name", name: "p" },
  { do: "resume name", name: "p" },
  { do: "prune" },
  { do: "await all", limit: 2 },
  { do: "cancel all" },
  { do: "drain", deadline: 1 },
  { do: "close" },
  inJob(`${client}report`, { do: "report", done: 1 }, { do: "report", done: 3 }),
  inJob(`${client}child`, { do: "submit", job: job(`${client}childOf`, { do: "sleep", millis: 1 }) }),
  { do: "submit", job: job(`${client}nested`, { do: "run", job: job(`${client}nestedIn`) }) },
  {
    do: "submit",
    job: job(`${client}calling`, {
      do: "run",
      job: { ...job(`${client}call`, { do: "run", job: job(`${client}callIn`) }), kind: "call" }
    })
  },
  {
    do: "submit",
    job: job(`${client}fan`, {
      do: "fan out",
      jobs: [job(`${client}fan1`), job(`${client}fan2`), job(`${client}fan3`)]
    })
  },
  inJob(`${client}joining`, { do: "join", job: "p" }),
  inJob(`${client}cancelling`, { do: "cancel", job: "r" })
]

const waitsForRoom = (step: Step): boolean => step.do === "submit" && step.job.whenFull !== undefined

const pairs: ReadonlyArray<Unordered> = callsOf("a").flatMap((call) =>
  callsOf("b").map((rival) => ({
    limits: { concurrency: 1, maxPending: waitsForRoom(call) ? 1 : 2, retain: 50, eventHistory: 500 },
    hook: "note" as const,
    clients: [[...setting, call], [rival]]
  }))
)

/** The programs of a sweep: those for what chance seldom brings about, and one for each pair of calls. */
export const sweeps: ReadonlyArray<Unordered> = [...specials, ...specialsOfRounds, ...specialsOfKeys, ...pairs]
