/**
 * Puts the parameters of one tool call together, also those that a server sends more than once.
 *
 * Most servers send pieces of a text. Others send a placeholder first, all that they have so far in each piece, everything
 * again at the end, or the object that the parameters are.
 */
import { Predicate } from "effect"

export class ToolParams {
  /** All pieces, one behind the other. */
  private text = ""
  private last = ""
  private pieces = 0
  private isFirstWhole: boolean | undefined = undefined
  /** Whether each piece began with all of the one before. */
  private isGrowing = true
  /** What was not looked at to tell whether the text is open. */
  private unseen: Array<string> = []
  private nesting = new Nesting()

  get isEmpty(): boolean {
    return this.pieces === 0
  }

  /** Whether the text stops in the middle of something. No piece is looked at twice. */
  get isOpen(): boolean {
    for (const piece of this.unseen.splice(0)) {
      for (let at = 0; at < piece.length; at++) this.nesting.see(piece.charCodeAt(at))
    }
    return this.nesting.isOpen
  }

  /** Whether more is to come: nothing has, or the text is open. */
  get goesOn(): boolean {
    return this.isEmpty || this.isOpen
  }

  /** Whether one piece brought everything. It is read once, however many pieces without text follow. */
  get cameWhole(): boolean {
    return this.pieces === 1 && (this.isFirstWhole ??= isWhole(this.text))
  }

  /** Takes what a piece says, and gives it as a text. An object is whole: it replaces what came before. */
  add(value: unknown): string {
    const text = textOf(value)
    if (text === "") return text
    if (!Predicate.isString(value)) {
      this.text = ""
      this.last = ""
      this.unseen = []
      this.nesting = new Nesting()
    }
    this.isGrowing &&= text.startsWith(this.last)
    this.last = text
    this.text += text
    this.pieces += 1
    this.unseen.push(text)
    return text
  }

  /** The text of the parameters, each said once. */
  said(): string {
    const { last, text } = this
    if (text === last || isJson(text)) return text
    return this.isGrowing && isWhole(last) ? last : (onlyOf(text) ?? text)
  }
}

/** Whether a text is an object, and whole. */
export const isWhole = (text: string): boolean => text.trimStart().startsWith("{") && isJson(text)

export const textOf = (value: unknown): string =>
  Predicate.isString(value) ? value : Predicate.isNotNullish(value) ? JSON.stringify(value) : ""

const quote = 0x22
const backslash = 0x5c
const braceClose = 0x7d
/** Braces and brackets, by how they change the depth. */
const steps = new Map([
  [0x7b, 1],
  [braceClose, -1],
  [0x5b, 1],
  [0x5d, -1]
])

/** Knows how deep one is in JSON that is read sign by sign. */
class Nesting {
  private depth = 0
  private isQuoted = false
  private isEscaped = false

  get isOpen(): boolean {
    return this.depth > 0 || this.isQuoted
  }

  see(sign: number): void {
    if (this.isEscaped) this.isEscaped = false
    else if (sign === quote) this.isQuoted = !this.isQuoted
    else if (this.isQuoted) this.isEscaped = sign === backslash
    else this.depth += steps.get(sign) ?? 0
  }
}

export const isJson = (text: string): boolean => {
  try {
    return JSON.parse(text) !== undefined
  } catch {
    return false
  }
}

/** The one object among several, one behind the other, when the others are empty or the same. */
const onlyOf = (text: string): string | undefined => {
  const objects = objectsOf(text.replace(/^\s{0,64}null/, ""))
  const only = objects.findLast((each) => each !== "{}")
  const isOnly = only !== undefined && objects.every((each) => each === "{}" || each === only)
  return isOnly && isWhole(only) ? only : undefined
}

/** Cuts a text where its objects end. */
const objectsOf = (text: string): ReadonlyArray<string> => {
  const objects: Array<string> = []
  const nesting = new Nesting()
  let from = 0
  for (let at = 0; at < text.length; at++) {
    const sign = text.charCodeAt(at)
    nesting.see(sign)
    if (sign !== braceClose || nesting.isOpen) continue
    objects.push(text.slice(from, at + 1).trim())
    from = at + 1
  }
  const rest = text.slice(from).trim()
  return rest === "" ? objects : [...objects, rest]
}
