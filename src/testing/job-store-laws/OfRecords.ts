/**
 * Laws about what is known of a job: events, progress, steps, texts, lists.
 */
import { eachNote, eachOf, isEnded, isHeld, isIn, type Law, pairs, same, when } from "./Law.ts"
import { newOf } from "./Joining.ts"
import { claimsOf } from "./OfClaims.ts"

/** The events of a job are 1, 2, 3, … without gaps, never change, are the same from wherever one reads on, and its end is the last. */
export const eventsHaveNoGaps: Law = {
  name: "eventsHaveNoGaps",
  breaches: ({ logs, notes }) => {
    const last = notes.at(-1)?.after ?? new Map()
    return [
      ...notes.flatMap((note, index) =>
        Array.from(note.after.values()).flatMap(({ job, log }) => [
          ...when(
            log.length !== job.events,
            `${note.said.is} ${index}: ${job.id} has ${log.length} of ${job.events} events`
          ),
          ...when(
            log.some(({ sequence }, at) => sequence !== at + 1),
            `${note.said.is} ${index}: the events of ${job.id} are ${log.map(({ sequence }) => sequence).join(" ")}`
          ),
          ...when(
            isEnded(job) && log.at(-1)?.kind.toLowerCase() !== job.state,
            `${note.said.is} ${index}: the last event of ${job.id}, ${job.state}, is ${log.at(-1)?.kind}`
          )
        ])
      ),
      ...Array.from(logs).flatMap(([id, log]) =>
        when(!same(log, last.get(id)?.log), `${id} has other events when they are read from the first on`)
      )
    ]
  }
}

/** Every change of a job's state has its event. */
export const changesHaveEvents: Law = eachNote("changesHaveEvents", (note) =>
  pairs(note).flatMap(([was, is]) =>
    when(
      was.job.state !== is.job.state && was.log.length === is.log.length,
      `${is.job.id} is ${is.job.state} without an event`
    )
  )
)

/** Progress is that of the newest attempt, and only what its worker said. */
export const progressIsOfItsAttempt: Law = eachNote("progressIsOfItsAttempt", (note) => {
  const { before, said } = note
  const claimed = new Set(claimsOf(note).map(({ token }) => token.id))
  return pairs(note).flatMap(([{ job: was }, { job: is }]) => {
    if (claimed.has(is.id)) return when(is.progress !== undefined, `${is.id} starts with progress ${is.progress}`)
    if (said.is === "requeue") return []
    const told =
      said.is === "record" && said.token.id === is.id && isHeld(before, said.token)
        ? said.entries.findLast(({ _tag }) => _tag === "Progress")?.value
        : undefined
    return when(is.progress !== (told ?? was.progress), `${is.id} has progress ${is.progress}`)
  })
})

/** A step is written once, and kept over all attempts. */
export const stepsAreWrittenOnce: Law = eachNote("stepsAreWrittenOnce", (note) => {
  const { before, said } = note
  return pairs(note).flatMap(([was, is]) => {
    const expected = Array.from(was.steps)
    if (said.is === "record" && said.token.id === is.job.id && isHeld(before, said.token)) {
      for (const entry of said.entries) {
        if (entry._tag !== "Step" || expected.some(({ name }) => name === entry.name)) continue
        expected.push({ name: entry.name, value: entry.value })
      }
    }
    return when(!same(is.steps, expected), `${is.job.id} has steps ${JSON.stringify(is.steps)}`)
  })
})

/** Every text comes back as it was given. */
export const textsComeBack: Law = {
  name: "textsComeBack",
  breaches: ({ notes }) => {
    const payloads = new Map<string, string>()
    return notes.flatMap(({ after, before, said }, index) => {
      if (said.is === "submit") for (const [id, { payload }] of newOf(said.jobs, before)) payloads.set(id, payload)
      if (said.is === "prune") for (const id of before.keys()) if (!after.has(id)) payloads.delete(id)
      if (said.is === "submit") for (const id of payloads.keys()) if (!after.has(id)) payloads.delete(id)
      if (said.is === "claim") {
        return said.answers
          .flat()
          .flatMap(({ job: { id }, payload }) =>
            when(payload !== payloads.get(id), `claim ${index}: ${id} has another payload`)
          )
      }
      if (said.is === "settle") {
        return said.ends.flatMap(({ outcome, token: { id } }, at) => {
          if (said.answer[at] !== "settled") return []
          const seen = after.get(id)
          const given = outcome._tag === "Completed" ? outcome.result : "error" in outcome ? outcome.error : undefined
          const kept = outcome._tag === "RetryAt" ? seen?.attempts.at(-1)?.error : seen?.job.result
          return when(given !== undefined && kept !== given, `settle ${index}: ${id} has ${kept} and not ${given}`)
        })
      }
      if (said.is !== "record" || said.answer === "stale") return []
      const data = after.get(said.token.id)?.log.slice(before.get(said.token.id)?.log.length) ?? []
      const given = said.entries.filter(({ _tag }) => _tag !== "Step").map(({ value }) => value)
      const kept = data.filter(({ kind }) => kind !== "Step").map((event) => event.data)
      return when(!same(kept, given), `record ${index}: ${said.token.id} says ${JSON.stringify(kept)}`)
    })
  }
}

/** A list has the jobs that its filter means, the newest first, each on one page; counts and single jobs agree with it. */
export const listsAreWhatTheyMean: Law = eachOf(
  "listsAreWhatTheyMean",
  "look",
  ({ counts, got, limit, pages, which }, { before }) => {
    const jobs = Array.from(before.values(), ({ job }) => job)
    const expected = jobs.filter((job) => isIn(which, job))
    const listed = pages.flatMap((page) => page.jobs)
    return [
      ...when(
        !same(listed, expected),
        `the list has ${listed.map(({ id }) => id)} and not ${expected.map(({ id }) => id)}`
      ),
      ...pages.flatMap((page, index) =>
        when(
          page.jobs.length > limit || (index < pages.length - 1 && page.jobs.length < limit),
          `a page of ${limit} has ${page.jobs.length}`
        )
      ),
      ...Object.entries(counts).flatMap(([state, count]) => {
        const there = expected.filter((job) => job.state === state).length
        return when(count !== there, `${count} are ${state} and not ${there}`)
      }),
      ...when(!same(got, jobs), "a job is another one by itself than in the list")
    ]
  }
)
