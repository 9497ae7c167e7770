/**
 * Finds the one answer to read among those to choose from.
 *
 * That is the one with index 0, or without an index; the others nobody here asked for. Some servers count from 1, or give the
 * one answer they have the index that it had among several: it is read when no other index came. Until the end that cannot
 * be told, so such an answer waits for it.
 */
import { Predicate } from "effect"
import * as Faults from "./Faults.ts"
import * as FinishWord from "../errors/FinishWord.ts"

/** A choice of one chunk, or of a whole answer. */
export type Choice = Readonly<Record<string, unknown>>

export class Choices {
  /** Whether an answer that waits said why it ended. */
  hasFinished = false
  /** How many pieces of others came. */
  others = 0
  private hasFirst = false
  private index: unknown
  private waiting: Array<Choice> = []
  private hasSeveral = false

  /** The choice to read now, if any. Others are put by. */
  first(choices: unknown): Choice | undefined {
    if (!Array.isArray(choices)) return undefined
    for (const choice of choices) {
      if (!Predicate.isObject(choice)) continue
      const index = indexOf(choice["index"])
      if (index === 0 || index === undefined) {
        this.hasFirst = true
        this.hasFinished = false
        this.waiting = []
        return choice
      }
      this.others += 1
      if (!this.hasFirst) this.putBy(choice, index)
    }
    return undefined
  }

  /** What waited, when the answer ends. Throws when there are several and none is the first. */
  rest(): ReadonlyArray<Choice> {
    if (this.hasFirst) return []
    if (this.hasSeveral)
      throw new Faults.Unreadable({ because: "the answer has several choices, and none with index 0" })
    return this.waiting
  }

  /**
   * The messages of those choices that belong to the first: some servers, in front of Claude, put each call of a tool into a
   * choice of its own, without an index.
   */
  static restOf(first: Choice, choices: unknown): ReadonlyArray<Choice> {
    const word = first["finish_reason"]
    if (
      !Array.isArray(choices) ||
      choices.length < 2 ||
      !FinishWord.isWord(word) ||
      FinishWord.meaningOf(word) !== "tool-calls"
    )
      return []
    return choices.flatMap((choice: unknown) => {
      if (choice === first || !Predicate.isObject(choice) || indexOf(choice["index"]) !== undefined) return []
      const message = choice["delta"] ?? choice["message"]
      return Predicate.isObject(message) ? [message] : []
    })
  }

  private putBy(choice: Choice, index: number): void {
    this.index ??= index
    if (index !== this.index) this.hasSeveral = true
    // Of several, none will be read.
    if (this.hasSeveral) this.waiting = []
    else this.waiting.push(choice)
    this.hasFinished ||= FinishWord.isWord(choice["finish_reason"])
  }
}

/** Some servers write the index as a text. */
export const indexOf = (value: unknown): number | undefined => {
  const index = Predicate.isString(value) && /^\d{1,9}$/.test(value) ? Number(value) : value
  return Predicate.isNumber(index) ? index : undefined
}
