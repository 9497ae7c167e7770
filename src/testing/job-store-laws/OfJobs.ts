/**
 * Laws about jobs: what is kept, and what may change it.
 */
import type { Job, NewJob } from "../../durable/JobStore.ts"
import { joins, type Named, newOf } from "./Joining.ts"
import { eachNote, eachOf, isEnded, isHeld, isIn, type Law, pairs, same, when } from "./Law.ts"
import type { Note } from "./Trace.ts"

/** No request fails or dies, and a store that is closed says so. */
export const requestsAreAnswered: Law = {
  name: "requestsAreAnswered",
  breaches: ({ afterClose, notes }) => [
    ...notes.flatMap(({ said }) => (said.is === "failed" ? [`a request failed: ${said.what}`] : [])),
    ...when(afterClose !== "Closed", `a closed store gave ${afterClose}`)
  ]
}

/** A submission that was acknowledged is there, once, as it was given, and stays; one that was not is there whole or not at all. */
export const acknowledgedJobsAreThere: Law = eachNote("acknowledgedJobsAreThere", ({ after, before, said }) => {
  const come = Array.from(after.keys()).filter((id) => !before.has(id))
  const gone = Array.from(before.keys()).filter((id) => !after.has(id) && said.is !== "prune")
  const lost = gone.map((id) => `${id} is gone`)
  if (said.is !== "submit") return [...lost, ...come.map((id) => `${id} came from nowhere`)]
  const made = newOf(said.jobs, before)
  // One that was not acknowledged may have come or not, and never a part of it.
  const isThere = said.answers.length > 0 || come.length > 0
  return [
    ...lost,
    ...said.answers.flat().flatMap(({ id }) => when(!after.has(id), `${id} was acknowledged and is not there`)),
    ...come.flatMap((id) => when(!made.has(id), `${id} came without being submitted`)),
    ...Array.from(made).flatMap(([id, given]) => {
      const job = after.get(id)?.job
      if (job === undefined) return when(isThere, `${id} was left out`)
      return when(!isAsGiven(job, given), `${id} is not as it was given`)
    })
  ]
})

/** A second submission with an id, or an idempotency key of its name and key, joins the first one. */
export const oneJobForOneKey: Law = eachNote("oneJobForOneKey", ({ after, before, said }) => {
  const keys = new Map<string, string>()
  const doubled = Array.from(after.values()).flatMap(({ job: { id, idempotencyKey, key, name } }) => {
    if (idempotencyKey === undefined) return []
    const of = JSON.stringify([name, key, idempotencyKey])
    const other = keys.get(of)
    keys.set(of, id)
    return other === undefined ? [] : [`${other} and ${id} have one idempotency key`]
  })
  if (said.is !== "submit") return doubled
  const isNew = said.answers.flatMap((answers) => answers.flatMap((each) => (each.isNew ? [each.id] : [])))
  return [
    ...doubled,
    ...when(new Set(isNew).size !== isNew.length, "one job was new twice"),
    ...isNew.flatMap((id) => when(before.has(id), `${id} was said to be new and is not`)),
    ...inSomeOrder(said.answers, (ordered) => {
      const known: Array<Named> = Array.from(before.values(), ({ job }) => job)
      return ordered.flatMap((answers) =>
        answers.flatMap(({ id }, index) => {
          const given = said.jobs[index]
          const expected = given === undefined ? undefined : joins(given, known)
          if (given !== undefined && expected === undefined) known.push({ ...given, key: given.key ?? "" })
          return when(expected !== undefined && expected !== id, `${given?.id} became ${id} and not ${expected}`)
        })
      )
    })
  ]
})

/** A request changes only the jobs that it is about. */
export const nothingElseChanges: Law = eachNote("nothingElseChanges", (note) => {
  const mayChange = changedBy(note)
  return pairs(note).flatMap(([before, after]) =>
    when(!mayChange(before.job) && !same(before, after), `${before.job.id} changed`)
  )
})

/** Cancelling ends what waits and asks what runs; the first reason counts, and what was asked to end does not run again. */
export const cancellationsHold: Law = eachNote("cancellationsHold", (note) => {
  const { after, before, said } = note
  const revived = pairs(note).flatMap(([was, is]) =>
    when(
      was.job.state === "running" && was.job.cancelReason !== undefined && is.job.state === "pending",
      `${was.job.id} is to be cancelled and waits to run again`
    )
  )
  const changed = pairs(note).flatMap(([was, is]) =>
    when(
      was.job.cancelReason !== undefined && is.job.cancelReason !== was.job.cancelReason && said.is !== "requeue",
      `${was.job.id} has another reason`
    )
  )
  if (said.is === "renew") {
    const expected = said.held.flatMap((token) => {
      const reason = before.get(token.id)?.job.cancelReason
      return isHeld(before, token) && reason !== undefined ? [{ token, reason }] : []
    })
    return [
      ...revived,
      ...changed,
      ...when(!same(said.answer.cancel, expected), "the worker is not told what to cancel")
    ]
  }
  if (said.is !== "cancel") return [...revived, ...changed]
  const meant = Array.from(before.values()).filter(({ job }) => isIn(said.which, job))
  return [
    ...revived,
    ...changed,
    ...meant.flatMap(({ job }) => {
      const now = after.get(job.id)?.job
      const answer = said.answer.find(({ id }) => id === job.id)?.is
      if (isEnded(job))
        return when(answer !== (said.which.ids === undefined ? undefined : "ended"), `${job.id}: ${answer}`)
      const expected = job.state === "pending" ? "cancelled" : "requested"
      return [
        ...when(answer !== expected, `${job.id}: ${answer} and not ${expected}`),
        ...when(now?.state !== (job.state === "pending" ? "cancelled" : "running"), `${job.id} is ${now?.state}`),
        ...when(
          now?.cancelReason !== (job.cancelReason ?? said.reason),
          `${job.id} has the reason ${now?.cancelReason}`
        )
      ]
    }),
    ...when(said.answer.length > meant.length, "jobs were cancelled that the filter does not mean")
  ]
})

/** What is queued again keeps its id, its payload and its history, and its attempts are counted anew. Only failed and cancelled jobs are. */
export const requeuedJobsBeginAnew: Law = eachOf("requeuedJobsBeginAnew", "requeue", (said, { after, before }) => {
  const meant = Array.from(before.values()).filter(
    ({ job }) => isIn(said.which, job) && (job.state === "failed" || job.state === "cancelled")
  )
  return [
    ...when(said.answer !== meant.length, `${said.answer} were queued again and not ${meant.length}`),
    ...meant.flatMap(({ attempts, job, log, steps }) => {
      const now = after.get(job.id)
      if (now === undefined) return []
      return [
        ...when(now.job.state !== "pending", `${job.id} is ${now.job.state}`),
        ...when(
          now.job.attempt !== 0 || now.job.lost !== 0,
          `${job.id} has attempt ${now.job.attempt}, lost ${now.job.lost}`
        ),
        ...when(now.job.claims !== job.claims, `${job.id} begins its tokens anew`),
        ...when(now.job.result !== undefined || now.job.cancelReason !== undefined, `${job.id} still has its end`),
        ...when(now.job.endedAtMillis !== undefined, `${job.id} still has the date of its end`),
        ...when(!same(now.log.slice(0, log.length), log), `${job.id} lost events`),
        ...when(!same(now.steps, steps) || !same(now.attempts, attempts), `${job.id} lost its history`)
      ]
    })
  ]
})

/** Only ended jobs beyond a bound are dropped, the oldest first, and all of them when as many may be. */
export const onlyTheOldAreDropped: Law = eachOf("onlyTheOldAreDropped", "prune", (said, { after, before, wall }) => {
  const { age = Infinity, characters = Infinity, count = Infinity } = { ...said.retention }
  const isTooOld = (job: Job) => (job.endedAtMillis ?? Infinity) <= wall - Number(age)
  const ended = Array.from(before.values(), ({ job }) => job).filter(isEnded)
  const dropped = Array.from(before.values(), ({ job }) => job).filter(({ id }) => !after.has(id))
  const kept = ended.filter(({ id }) => after.has(id))
  const sizeKnown = characters === Infinity
  return [
    ...when(said.answer !== dropped.length, `${said.answer} were dropped and not ${dropped.length}`),
    ...when(dropped.length > said.limit, `${dropped.length} were dropped at once`),
    ...dropped.flatMap((job) => [
      ...when(!isEnded(job), `${job.id} was dropped, which is ${job.state}`),
      ...kept.flatMap((other) =>
        when((other.endedAtMillis ?? 0) < (job.endedAtMillis ?? 0), `${job.id} was dropped before ${other.id}`)
      )
    ]),
    ...when(
      sizeKnown &&
        dropped.some((job) => !isTooOld(job)) &&
        ended.length - dropped.length < Math.min(count, ended.length),
      "more were dropped than the bounds ask for"
    ),
    ...when(
      said.answer < said.limit && (kept.some(isTooOld) || kept.length > count),
      "jobs beyond the bounds were kept"
    )
  ]
})

/** What is wrong with answers to requests at the same time, in that order of them in which the least is. */
const inSomeOrder = <A>(
  answers: ReadonlyArray<A>,
  breaches: (ordered: ReadonlyArray<A>) => ReadonlyArray<string>
): ReadonlyArray<string> => {
  const found = breaches(answers)
  const other = found.length === 0 ? found : breaches(answers.toReversed())
  return other.length < found.length ? other : found
}

const isAsGiven = (job: Job, given: NewJob): boolean =>
  job.name === given.name &&
  job.key === (given.key ?? "") &&
  job.priority === (given.priority ?? 0) &&
  job.idempotencyKey === given.idempotencyKey &&
  same(job.metadata, given.metadata ?? {}) &&
  job.state === "pending" &&
  job.attempt === 0 &&
  job.claims === 0

/** Which jobs a note may change. */
const changedBy = ({ said }: Note): ((job: Job) => boolean) => {
  switch (said.is) {
    case "claim":
      return ({ dueMillis, id }) => dueMillis !== undefined || said.answers.flat().some(({ job }) => job.id === id)
    case "settle":
      return ({ id }) => said.ends.some(({ token }) => token.id === id)
    case "record":
      return ({ id }) => said.token.id === id
    case "cancel":
    case "requeue":
      return (job) => isIn(said.which, job)
    case "expire":
      return ({ state }) => state === "running"
    case "opened":
    case "failed":
      return ({ state }) => state === "running"
    case "submit":
      return ({ state }) => said.dropped && state === "running"
    default:
      return () => false
  }
}
