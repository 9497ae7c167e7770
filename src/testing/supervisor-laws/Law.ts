/**
 * What a law is, and how it speaks of calls that never returned.
 */
import type { History } from "./History.ts"
import type { Note, Trace } from "./Trace.ts"

/** A promise of the supervisor. */
export interface Law {
  readonly name: string
  /** Says what was wrong in a run, one sentence for each breach; `again` gives the same run once more. */
  readonly breaches: (history: History, again: () => Trace) => ReadonlyArray<string>
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

export const somebodyWaits = (trace: Trace): boolean =>
  [
    hanging(trace, "WaitCalled", ["WaitReturned", "GaveUp", "Left"]),
    hanging(trace, "CancelCalled", ["CancelReturned", "Left"]),
    hanging(trace, "DrainCalled", ["DrainReturned"])
  ].some((open) => open.length > 0)

/** Lists words for a sentence. */
export const some = (words: Iterable<string>): string => Array.from(words).join(", ") || "nothing"
