/**
 * What a law of stores is, and what several laws ask of a note.
 */
import type { Filter, Job, Token } from "../../durable/JobStore.ts"
import type { Note, Said, Seen, Stock, Trace } from "./Trace.ts"

/** A promise of every store of jobs. */
export interface Law {
  readonly name: string
  /** Says what was wrong in a run, one sentence for each breach. */
  readonly breaches: (trace: Trace) => ReadonlyArray<string>
}

/** A law over each note by itself. */
export const eachNote = (
  name: string,
  breaches: (note: Note, index: number, trace: Trace) => ReadonlyArray<string>
): Law => ({
  name,
  breaches: (trace) =>
    trace.notes.flatMap((note, index) =>
      breaches(note, index, trace).map((what) => `${note.said.is} ${index}: ${what}`)
    )
})

/** A law over the answers to one request. */
export const eachOf = <Is extends Said["is"]>(
  name: string,
  is: Is,
  breaches: (said: Extract<Said, { readonly is: Is }>, note: Note, index: number, trace: Trace) => ReadonlyArray<string>
): Law =>
  eachNote(name, (note, index, trace) =>
    // The request has this name, so it is the one that is asked for.
    note.said.is === is ? breaches(note.said as Extract<Said, { readonly is: Is }>, note, index, trace) : []
  )

/** A sentence, when it is true. */
export const when = (isBroken: boolean, what: string): ReadonlyArray<string> => (isBroken ? [what] : [])

/** Whether a token is that of a claim that runs. */
export const isHeld = (stock: Stock, { claim, id }: Token): boolean => {
  const job = stock.get(id)?.job
  return job?.state === "running" && job.claims === claim
}

export const isEnded = ({ state }: Job): boolean => state !== "pending" && state !== "running"

export const isIn = ({ ids, keys, metadata = {}, names, states }: Filter, job: Job): boolean =>
  [
    ids?.includes(job.id),
    names?.includes(job.name),
    keys?.includes(job.key),
    states?.includes(job.state),
    ...Object.entries(metadata).map(([fact, value]) => job.metadata[fact] === value)
  ].every((holds) => holds !== false)

/** The jobs that are there before and after a note. */
export const pairs = ({ after, before }: Note): ReadonlyArray<readonly [before: Seen, after: Seen]> =>
  Array.from(before).flatMap(([id, seen]) => {
    const now = after.get(id)
    return now === undefined ? [] : [[seen, now]]
  })

export const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
