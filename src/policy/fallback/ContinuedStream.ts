/**
 * Keeps what several providers stream, one after the other, one well-formed stream.
 *
 * A {@link Tracker} sees each part that has been passed on: which blocks are open, which ids are taken, what text was
 * said. From that follow the parts that close what a failed provider left open, and how the next one's parts fit in.
 */
import { Predicate, Stream } from "effect"
import type { Response } from "effect/ai"
import * as FinishMark from "../../core/call/FinishMark.ts"

type Part = Response.StreamPartEncoded
type Parts = ReadonlyArray<Part>

const ends = {
  "text-start": "text-end",
  "reasoning-start": "reasoning-end",
  "tool-params-start": "tool-params-end"
} as const

/** Whether a part of a stream says that all content before it is void, and another provider answers anew. */
export const isRestart = (part: { readonly type: string; readonly metadata?: object | undefined }): boolean =>
  part.type === "response-metadata" &&
  Predicate.hasProperty(part.metadata, "holdfast") &&
  Predicate.hasProperty(part.metadata.holdfast, "restarted")

/** What has been passed on of a stream. */
export class Tracker {
  private readonly open = new Map<string, (typeof ends)[keyof typeof ends]>()
  private readonly taken = new Set<string>()
  /** The number to try next for an id that was taken: counting from the start each time is quadratic. */
  private readonly next = new Map<string, number>()
  /** All text that was passed on, since a restart if there was one; none of it where it is longer than what is kept. */
  text = ""
  /** Whether more text was passed on than is kept. */
  isTooLong = false
  /** Whose tools were called: the application's, if any of them was, else the provider's own. */
  called: "application's" | "provider's" | undefined
  /** Whether the answer is complete. */
  isFinished = false
  private readonly mostText: number

  /** `mostText` is how many characters of text are kept. */
  constructor(mostText: number) {
    this.mostText = mostText
  }

  see(part: Part): void {
    switch (part.type) {
      case "text-start":
      case "reasoning-start":
      case "tool-params-start":
        this.open.set(part.id, ends[part.type])
        this.taken.add(part.id)
        break
      case "text-delta":
        this.isTooLong ||= this.text.length + part.delta.length > this.mostText
        this.text = this.isTooLong ? "" : this.text + part.delta
        break
      case "text-end":
      case "reasoning-end":
      case "tool-params-end":
        this.open.delete(part.id)
        break
      case "tool-call":
        if (part.providerExecuted !== true) this.called = "application's"
        else this.called ??= "provider's"
        this.taken.add(part.id)
        break
      case "finish":
        this.isFinished = true
        break
      case "response-metadata":
        if (!isRestart(part)) break
        this.text = ""
        this.isTooLong = false
        if (this.called === "provider's") this.called = undefined
        break
    }
  }

  /** The text block that is open, if one is. */
  get openText(): string | undefined {
    for (const [id, end] of this.open) if (end === "text-end") return id
    return undefined
  }

  /** The parts that end all blocks that are open, but for one that is to go on. */
  close(except?: string): Parts {
    return Array.from(this.open, ([id, type]) => ({ type, id })).filter(({ id }) => id !== except)
  }

  /** An id like this one that no block of the stream has yet. */
  freeId(id: string): string {
    if (!this.taken.has(id)) return id
    let n = this.next.get(id) ?? 2
    while (this.taken.has(`${id}-${n}`)) n += 1
    this.next.set(id, n)
    return `${id}-${n}`
  }
}

/** Shows a tracker each part of a stream, fitted in as `fit` says. */
export const tracked = <E, R>(
  self: Stream.Stream<Part, E, R>,
  tracker: Tracker,
  fit: (part: Part) => Parts = (part) => [part]
): Stream.Stream<Part, E, R> =>
  Stream.flattenIterable(
    Stream.mapArray(self, (parts) => {
      const passed: Array<Part> = []
      // One by one, for what to make of a part depends on those before it.
      for (const part of parts) {
        for (const fitted of fit(part)) {
          tracker.see(fitted)
          passed.push(fitted)
        }
      }
      return [passed]
    })
  )

/** Gives the parts of another provider ids of their own, where theirs are taken. */
export const renaming = (tracker: Tracker): (<P extends Part>(part: P) => P) => {
  const names = new Map<string, string>()
  return (part) => {
    if (!("id" in part) || part.id === undefined || part.type === "response-metadata") return part
    if (part.type.endsWith("-start")) names.set(part.id, tracker.freeId(part.id))
    return { ...part, id: names.get(part.id) ?? part.id }
  }
}

/**
 * Fits the parts of a provider that was asked to go on into the stream: its first text goes on in the text block that is
 * open, and what it repeats of the text so far is left out.
 *
 * Gives for each part the parts to pass on. Its `response-metadata` is left out, for the stream has one already. But where
 * it is a restart of its own, which voids all content so far, the text from which it goes on is given again behind that.
 */
export const continuing = (tracker: Tracker, mark: object): ((part: Part) => Parts) => {
  const rename = renaming(tracker)
  const before = tracker.text
  let block = tracker.openText
  let first: string | undefined
  const fit = <P extends Extract<Part, { readonly type: `text-${string}` }>>(part: P): P =>
    block !== undefined && part.id === first ? { ...part, id: block } : rename(part)
  // What may be a repetition is held until it is one, or is not.
  let said: string | undefined = before
  let pending = ""
  const fresh = (delta: string): string => {
    if (said === undefined) return delta
    pending += delta
    if (pending.length < said.length && said.startsWith(pending)) return ""
    const rest = pending.startsWith(said) ? pending.slice(said.length) : pending
    said = undefined
    return rest
  }
  // Text that ends before it could be told is not taken for a repetition: rather something twice than something lost. A
  // block without text tells nothing.
  const undecided = (): string => {
    if (pending === "") return ""
    const rest = said === undefined ? "" : pending
    said = undefined
    return rest
  }
  const delta = (id: string, text: string): Parts => (text === "" ? [] : [{ type: "text-delta", id, delta: text }])
  const restarted = (part: Part): Parts => {
    const ended = [...tracker.close(), part]
    first = undefined
    said = before
    pending = ""
    block = before === "" ? undefined : tracker.freeId("text")
    return block === undefined ? ended : [...ended, { type: "text-start", id: block }, ...delta(block, before)]
  }
  return (part) => {
    switch (part.type) {
      case "response-metadata":
        return isRestart(part) ? restarted(part) : []
      case "text-start": {
        const isFirst = first === undefined
        if (isFirst) first = part.id
        return isFirst && block !== undefined ? [] : [fit(part)]
      }
      case "text-delta":
        return delta(fit(part).id, fresh(part.delta))
      case "text-end": {
        const end = fit(part)
        return [...delta(end.id, undecided()), end]
      }
      case "finish":
        return [...(first === undefined ? tracker.close() : []), FinishMark.add(part, mark)]
      default:
        return [rename(part)]
    }
  }
}
