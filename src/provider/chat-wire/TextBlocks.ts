/**
 * Writes the text of an answer as blocks: each begins, has deltas and ends, one after the other. No delta ends in the middle of a
 * character.
 */
import type { Response } from "effect/ai"
import type * as Extras from "./Extras.ts"
import * as Notes from "./Notes.ts"
import * as ThinkingPart from "./ThinkingPart.ts"

type Part = Response.StreamPartEncoded

/** A field of a message that holds text, and may come in many pieces. */
export type TextField = "content" | "reasoning_content" | "reasoning" | "refusal" | "thinking"

/** A block that is open. */
interface Block {
  readonly field: TextField
  readonly id: string
  /** The first half of a character whose other half is still to come. */
  half: string
  /** Of thinking in a list of content: what its part says besides its text. */
  readonly frame: Extras.Fields | undefined
}

export class TextBlocks {
  /** Whether no text came but what the model thought. */
  isMute = true
  private readonly provider: string
  private open: Block | undefined
  private count = 0

  constructor(provider: string) {
    this.provider = provider
  }

  get any(): boolean {
    return this.count > 0
  }

  /** The field of the block that is open. */
  get field(): TextField | undefined {
    return this.open?.field
  }

  /** Adds text to a block, which is begun unless it is open. */
  text(field: TextField, delta: string, out: Array<Part>): void {
    const block = this.open?.field === field ? this.open : this.begin(field, out)
    const text = block.half + delta
    block.half = isHalf(text) ? text.slice(-1) : ""
    const whole = block.half === "" ? text : text.slice(0, -1)
    if (whole !== "") out.push(deltaOf(block, whole))
  }

  /** Goes on with a block of thinking whose part says this besides its text. What is signed before is a block of its own. */
  frame(frame: Extras.Fields, out: Array<Part>): void {
    const before = this.open?.frame
    if (before !== undefined && ThinkingPart.isAnother(before, frame)) this.close(out)
    const { open } = this
    if (open?.frame === undefined) this.begin("thinking", out, frame)
    else Object.assign(open.frame, frame, ThinkingPart.emptyFrame(open.frame))
  }

  /** Ends the block that is open, if any. */
  close(out: Array<Part>, message?: Extras.Fields): void {
    const { open } = this
    if (open === undefined) return
    this.open = undefined
    if (open.half !== "") out.push(deltaOf(open, open.half))
    const type = isTextOf(open.field) ? "text-end" : "reasoning-end"
    out.push({ type, id: open.id, ...this.noteOf(open, message) })
  }

  private begin(field: TextField, out: Array<Part>, frame?: Extras.Fields): Block {
    this.close(out)
    const block = { field, id: String(this.count++), half: "", frame }
    this.open = block
    if (isTextOf(field)) this.isMute = false
    out.push({ type: isTextOf(field) ? "text-start" : "reasoning-start", id: block.id, ...this.noteOf(block) })
    return block
  }

  /** Remembers the field, so that reasoning is sent back in the one it came in, and a refusal is known as one. */
  private noteOf({ field, frame }: Block, message?: Extras.Fields) {
    const note = { field: field === "content" ? undefined : field, frame: frame && { ...frame }, message }
    return Notes.metadataOf(note, this.provider)
  }
}

const isTextOf = (field: TextField): boolean => field === "content" || field === "refusal"

const deltaOf = ({ field, id }: Block, delta: string): Part => ({
  type: isTextOf(field) ? "text-delta" : "reasoning-delta",
  id,
  delta
})

/** Whether a text ends in the middle of a character, as UTF-16 writes it. */
const isHalf = (text: string): boolean => (text.charCodeAt(text.length - 1) & 0xfc00) === 0xd800
