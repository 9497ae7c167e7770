/**
 * What a law is, and how it speaks of calls that never returned.
 */
import type { History } from "./History.ts"
import type { Note, Trace } from "./Trace.ts"

/** A promise of the supervisor. */
export interface Law {
  readonly name: string
  /** Says what was wrong in a run, one sentence for each breach; `again` is the same run once more, now and then. */
  readonly breaches: (history: History, again: Trace | undefined) => ReadonlyArray<string>
}

/** The calls that never returned, in a run that did not come to its end. */
export const hanging = (
  trace: Trace,
  call: Note["_tag"],
  answers: ReadonlyArray<Note["_tag"]>
): ReadonlyArray<string> => {
  if (trace.ending === "success") return []
  const open = new Map<string, string>()
  for (const note of trace.notes) {
    const who = `${"by" in note ? `${note.by} ` : ""}${"job" in note ? note.job : ""}`
    if (note._tag === call) open.set(who, `${call} of ${who} never returned: ${trace.ending}`)
    if (answers.includes(note._tag)) open.delete(who)
  }
  return Array.from(open.values())
}

/**
 * The calls that had no answer so many milliseconds after they were made. A job that was interrupted while it waited needs
 * none.
 */
export const overdue = (
  { isLate, notes }: Trace,
  call: Note["_tag"],
  answers: ReadonlyArray<Note["_tag"]>,
  within: (call: Note) => number | undefined
): ReadonlyArray<string> =>
  notes.flatMap((note, index) => {
    const millis = note._tag === call ? within(note) : undefined
    if (isLate || millis === undefined || !("by" in note && "job" in note)) return []
    const late = notes.findIndex((each, at) => at > index && each.at > note.at + millis)
    const isAnswer = (each: Note) =>
      ("by" in each && "job" in each && each.by === note.by && each.job === note.job && answers.includes(each._tag)) ||
      (each._tag === "WaitEnded" && each.job === note.by)
    return late < 0 || notes.slice(index, late).some(isAnswer)
      ? []
      : [`${call} of ${note.by} ${note.job} had not returned after ${millis} ms`]
  })

export const somebodyWaits = (trace: Trace): boolean =>
  [
    hanging(trace, "WaitCalled", ["WaitReturned", "GaveUp", "Left"]),
    hanging(trace, "CancelCalled", ["CancelReturned", "Left"]),
    hanging(trace, "DrainCalled", ["DrainReturned"])
  ].some((open) => open.length > 0)

/** Counts things in words: `1 fiber`, `2 fibers`. */
export const count = (howMany: number, what: string): string => `${howMany} ${what}${howMany === 1 ? "" : "s"}`

/** Lists words for a sentence. */
export const some = (words: Iterable<string>): string => Array.from(words).join(", ") || "nothing"
