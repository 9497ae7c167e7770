/**
 * Laws about claims: who may run a job, and what becomes of the right to.
 */
import type { Claim, Job, Outcome } from "../../durable/JobStore.ts"
import { eachNote, eachOf, isHeld, type Law, pairs, same, when } from "./Law.ts"
import type { Note, Trace } from "./Trace.ts"

/** A job that waits is claimed by one worker, with a token that is larger than any before it and is never given again. */
export const oneClaimAtATime: Law = {
  name: "oneClaimAtATime",
  breaches: (trace) => {
    const given = new Map<string, number>()
    return trace.notes.flatMap((note, index) => [
      ...claimsOf(note).flatMap(({ job, token }) => {
        const last = given.get(token.id) ?? 0
        given.set(token.id, token.claim)
        const before = note.before.get(token.id)?.job
        return [
          ...when(token.claim <= last, `claim ${index}: ${token.id} has claim ${token.claim} after ${last}`),
          ...when(before?.state !== "pending", `claim ${index}: ${token.id} was claimed while it was ${before?.state}`),
          ...when(job.claims !== token.claim || job.id !== token.id, `claim ${index}: ${token.id} has another token`),
          ...when(job.state !== "running", `claim ${index}: ${token.id} is ${job.state}`)
        ]
      }),
      ...pairs(note).flatMap(([was, is]) =>
        when(
          is.job.claims !== was.job.claims + claimsOf(note).filter(({ token }) => token.id === is.job.id).length,
          `${note.said.is} ${index}: the claims of ${is.job.id} went from ${was.job.claims} to ${is.job.claims}`
        )
      )
    ])
  }
}

/** A token that is worth nothing is told so, and changes nothing; a second end of an attempt is one. */
export const staleTokensChangeNothing: Law = eachNote("staleTokensChangeNothing", (note) => {
  const { after, before, said } = note
  const unchanged = (id: string) => same(before.get(id), after.get(id))
  if (said.is === "renew") {
    const expected = said.held.filter((token) => !isHeld(before, token))
    return when(!same(said.answer.lost, expected), "renewing does not say which claims are lost")
  }
  if (said.is === "record") {
    const held = isHeld(before, said.token)
    return [
      ...when(said.answer !== (held ? "recorded" : "stale"), `${said.token.id}: ${said.answer}`),
      ...when(!held && !unchanged(said.token.id), `${said.token.id} was changed by a stale token`)
    ]
  }
  if (said.is !== "settle") return []
  const settled = new Set<string>()
  return said.ends.flatMap(({ token }, index) => {
    const held = isHeld(before, token) && !settled.has(token.id)
    if (held) settled.add(token.id)
    const anyHeld = said.ends.some((end) => end.token.id === token.id && isHeld(before, end.token))
    return [
      ...when(said.answer[index] !== (held ? "settled" : "stale"), `${token.id}: ${said.answer[index]}`),
      ...when(!anyHeld && !unchanged(token.id), `${token.id} was changed by a stale token`)
    ]
  })
})

/** An attempt ends as its worker says: a released one is not counted, one to be tried again is. */
export const attemptsEndAsTold: Law = eachOf(
  "attemptsEndAsTold",
  "settle",
  ({ answer, ends }, { after, before, wall }) =>
    ends.flatMap(({ outcome, token }, index) => {
      const was = before.get(token.id)?.job
      const is = after.get(token.id)?.job
      if (answer[index] !== "settled" || was === undefined || is === undefined) return []
      const { cancelReason } = was
      const expected = expectedAfter(outcome, was, wall)
      return [
        ...when(is.state !== expected.state, `${was.id} is ${is.state} and not ${expected.state}`),
        ...when(is.attempt !== expected.attempt, `${was.id} has attempt ${is.attempt} and not ${expected.attempt}`),
        ...when(
          is.dueMillis !== expected.dueMillis,
          `${was.id} is due at ${is.dueMillis} and not ${expected.dueMillis}`
        ),
        ...when(is.lost !== expected.lost, `${was.id} has ${is.lost} lost workers and not ${expected.lost}`),
        ...when(
          outcome._tag === "Cancelled" && is.cancelReason !== (cancelReason ?? outcome.reason),
          `${was.id} has the reason ${is.cancelReason}`
        )
      ]
    })
)

/** An attempt is one more than the one before it, and each has its entry in the history, with its end. */
export const attemptsAreRemembered: Law = eachNote("attemptsAreRemembered", (note) => [
  ...claimsOf(note).flatMap(({ job }) => {
    const before = note.before.get(job.id)?.job
    return when(job.attempt !== (before?.attempt ?? 0) + 1, `${job.id} starts attempt ${job.attempt}`)
  }),
  ...Array.from(note.after.values()).flatMap(({ attempts, job }) => [
    ...when(attempts.length !== job.claims, `${job.id} remembers ${attempts.length} of ${job.claims} claims`),
    ...attempts.flatMap(({ claim, endedAtMillis, outcome }, index) => {
      const runs = job.state === "running" && index === attempts.length - 1
      return [
        ...when(claim !== index + 1, `${job.id} remembers claim ${claim} as ${index + 1}`),
        ...when((outcome === undefined) !== runs, `${job.id} has an attempt that ended ${outcome}`),
        ...when((endedAtMillis === undefined) !== runs, `${job.id} has an attempt that ended at ${endedAtMillis}`)
      ]
    })
  ])
])

/** Never more run than the limits say, of a name and of a key, over all workers. */
export const limitsHold: Law = eachOf("limitsHold", "claim", ({ answers, want }, { after }) => {
  const claimed = answers.flat()
  const running = Array.from(after.values(), ({ job }) => job).filter(({ state }) => state === "running")
  return [
    ...answers.flatMap((each) => when(each.length > want.slots, `${each.length} were given for ${want.slots} slots`)),
    ...want.names.flatMap(({ keyLimit = Infinity, limit = Infinity, name }) => {
      const ofName = running.filter((job) => job.name === name)
      const came = claimed.filter(({ job }) => job.name === name)
      return [
        ...when(came.length > 0 && ofName.length > limit, `${ofName.length} of ${name} run, and ${limit} may`),
        ...came.flatMap(({ job }) => {
          const ofKey = ofName.filter(({ key }) => key === job.key).length
          return when(ofKey > keyLimit, `${ofKey} of ${name} "${job.key}" run, and ${keyLimit} may`)
        })
      ]
    })
  ]
})

/** Nothing starts before it is due. */
export const nothingStartsEarly: Law = eachNote("nothingStartsEarly", (note) =>
  claimsOf(note).flatMap(({ job }) => {
    const due = note.before.get(job.id)?.job.dueMillis ?? -Infinity
    return when(due > note.wall, `${job.id} starts ${due - note.wall} ms early`)
  })
)

/** Only jobs of the names that a worker knows are given, and all that can run while it has slots. */
export const whatCanRunIsGiven: Law = eachOf(
  "whatCanRunIsGiven",
  "claim",
  ({ answers, want }, { after, before, wall }) => {
    const names = want.names.map(({ name }) => name)
    const strange = answers.flat().flatMap(({ job }) => when(!names.includes(job.name), `${job.id} is ${job.name}`))
    const running = Array.from(after.values(), ({ job }) => job).filter(({ state }) => state === "running")
    if (answers.some((claims) => claims.length >= want.slots)) return strange
    return [
      ...strange,
      ...Array.from(after.values()).flatMap(({ job }) => {
        const of = want.names.find(({ name }) => name === job.name)
        const due = before.get(job.id)?.job.dueMillis ?? -Infinity
        if (of === undefined || job.state !== "pending" || due > wall) return []
        const ofName = running.filter(({ name }) => name === job.name)
        const hasRoom =
          ofName.length < (of.limit ?? Infinity) &&
          ofName.filter(({ key }) => key === job.key).length < (of.keyLimit ?? Infinity)
        return when(hasRoom, `${job.id} can run and was not given`)
      })
    ]
  }
)

/**
 * A worker loses its claims when its lease has ended, and not before; when the store is opened all have. A job with which too
 * many in a row were lost has failed.
 */
export const lostWorkersLoseTheirJobs: Law = {
  name: "lostWorkersLoseTheirJobs",
  breaches: (trace) => {
    const heard = new Map<string, number>()
    const { lease, maxLost } = trace.program.settings
    return trace.notes.flatMap((note, index) => {
      const { said } = note
      const opened = said.is === "opened" || (said.is === "submit" && said.dropped)
      let lost = 0
      const found = pairs(note).flatMap(([{ job: was }, { job: is }]) => {
        if (was.state !== "running" || (said.is !== "expire" && !opened)) return []
        const isLost = opened || (heard.get(was.id) ?? 0) + lease <= note.monotonic
        if (isLost) lost++
        const ends = was.lost + 1 >= maxLost ? "failed" : "pending"
        const expected = !isLost ? "running" : was.cancelReason === undefined ? ends : "cancelled"
        return [
          ...when(is.state !== expected, `${said.is} ${index}: ${was.id} is ${is.state} and not ${expected}`),
          ...when(
            is.lost !== was.lost + (isLost ? 1 : 0),
            `${said.is} ${index}: ${was.id} has ${is.lost} lost workers`
          ),
          ...when(isLost && is.attempt !== was.attempt, `${said.is} ${index}: ${was.id} has attempt ${is.attempt}`)
        ]
      })
      for (const { token } of claimsOf(note)) heard.set(token.id, note.monotonic)
      if (said.is === "renew") {
        for (const token of said.held) if (isHeld(note.before, token)) heard.set(token.id, note.monotonic)
      }
      return said.is === "expire"
        ? [...found, ...when(said.answer !== lost, `expire ${index} gave ${said.answer}`)]
        : found
    })
  }
}

export const claimsOf = ({ said }: Note): ReadonlyArray<Claim> => (said.is === "claim" ? said.answers.flat() : [])

/** Whether a run has had its clock set back. */
export const isSetBack = ({ notes }: Trace): boolean =>
  notes.some(({ said }) => said.is === "set clock" && said.millis < 0)

const expectedAfter = (
  outcome: Outcome,
  { attempt, cancelReason, lost }: Job,
  wall: number
): Pick<Job, "state" | "attempt" | "dueMillis" | "lost"> => {
  const ended = { attempt, dueMillis: undefined, lost }
  if (outcome._tag === "Completed") return { ...ended, state: "completed", lost: 0 }
  if (outcome._tag === "Failed") return { ...ended, state: "failed", lost: 0 }
  if (outcome._tag === "Cancelled" || cancelReason !== undefined) return { ...ended, state: "cancelled" }
  if (outcome._tag === "Released") return { ...ended, state: "pending", attempt: attempt - 1 }
  return { ...ended, state: "pending", lost: 0, dueMillis: outcome.atMillis > wall ? outcome.atMillis : undefined }
}
