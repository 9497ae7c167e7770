/**
 * Carries the bytes of a call beside its parts, so that what was sent and what was answered need not be written again.
 *
 * Policies take and give parts, which have no place for bytes. Whoever has a request as bytes puts it here; a provider
 * that speaks the same wire sends it as it is, and remembers which bytes each part was read from. {@link Reading} then
 * gives those bytes for the parts that came through unchanged, and says which parts have to be written anew.
 */
import { Context } from "effect"
import * as PlainData from "../PlainData.ts"
import * as PartCopy from "./PartCopy.ts"
import type { LanguageModel, Prompt, Response } from "effect/ai"

type Part = Response.PartEncoded | Response.StreamPartEncoded

/** A request as bytes, and what of it may be changed. */
export interface Request {
  /** The prompt that the bytes say. A call whose prompt is another object was changed by a policy, and is written anew. */
  readonly prompt: Prompt.Prompt
  /** The tools that the call was made with. A policy that changes them has them written into the bytes. Default: none. */
  readonly tools?: LanguageModel.ProviderOptions["tools"] | undefined
  /** The same of how the model may choose among them. Default `"auto"`. */
  readonly toolChoice?: LanguageModel.ProviderOptions["toolChoice"] | undefined
  /** The same of the format of the answer. Default: text. */
  readonly responseFormat?: LanguageModel.ProviderOptions["responseFormat"] | undefined
  /** The settings in context where the call was made; those that a policy sets are written into the bytes. Default: none. */
  readonly settings?: object | undefined
  /** The JSON body, sent as it is but for what is asked for here. */
  readonly body: Uint8Array
  /** Where it goes below the base URL, to a provider that reaches more than one endpoint. Default `/chat/completions`. */
  readonly path?: string | undefined
  /** Headers that travel with it. Default: none. */
  readonly headers?: { readonly [name: string]: string } | undefined
  /** Writes the provider's own model into it. Default false. */
  readonly spliceModel?: boolean | undefined
  /** Asks a stream for its usage, if the body does not say whether to. Default false. */
  readonly spliceUsage?: boolean | undefined
}

/** The bytes of the present call. Default: none, and then nothing is remembered. */
export const Current = Context.Reference<Request | undefined>("holdfast/core/WireBytes", {
  defaultValue: () => undefined
})

/** One answer of one provider. */
interface Answer {
  finish: Response.FinishPartEncoded | undefined
}

/** Bytes of an answer, and the parts that were read from them. */
interface Frame {
  readonly answer: Answer
  readonly number: number
  readonly bytes: Uint8Array
  readonly parts: ReadonlyArray<Part>
}

const frames = new WeakMap<Part, Frame>()

/** Remembers the bytes of one answer as it is read. */
export class Recorder {
  private readonly answer: Answer = { finish: undefined }
  private number = 0

  /** The bytes since the last time, and the parts that they brought: at least one. */
  read(bytes: Uint8Array, parts: ReadonlyArray<Part>): void {
    const frame = { answer: this.answer, number: this.number++, bytes, parts }
    for (const part of parts) {
      frames.set(part, frame)
      if (part.type === "finish") this.answer.finish = part
    }
  }
}

/**
 * Reads parts that came through policies. Gives the bytes of those that nobody changed, as soon as all that were read from
 * the same bytes are there. From the first part that was changed, added or left out, everything is `"changed"`: it has to
 * be written anew, together with what {@link Reading.pending} still held.
 *
 * A `finish` part is the same when its reason and usage are: policies write their remarks into it.
 */
export class Reading {
  private frame: Frame | undefined
  private taken = 0
  private held: Array<Part> = []
  private isChanged = false

  /** Parts whose bytes have not been given yet. */
  get pending(): ReadonlyArray<Part> {
    return this.held
  }

  next(part: Part): Uint8Array | "held" | "changed" {
    if (this.isChanged || !this.accept(part)) {
      this.isChanged = true
      return "changed"
    }
    const { frame } = this
    if (frame === undefined || this.taken < frame.parts.length) return "held"
    this.held = []
    return frame.bytes
  }

  private accept(part: Part): boolean {
    const { frame } = this
    const isComplete = frame === undefined || this.taken === frame.parts.length
    const next = frames.get(part) ?? (part.type === "finish" ? this.frameOfFinish() : undefined)
    if (next === undefined) return false
    const fits = isComplete
      ? next.number === (frame?.number ?? -1) + 1 && next.answer === (frame?.answer ?? next.answer)
      : next === frame
    const index = isComplete ? 0 : this.taken
    const original = next.parts[index]
    if (!fits || original === undefined || !isSame(original, part)) return false
    this.frame = next
    this.taken = index + 1
    this.held.push(part)
    return true
  }

  private frameOfFinish(): Frame | undefined {
    const finish = this.frame?.answer.finish
    return finish === undefined ? undefined : frames.get(finish)
  }
}

/** A part of one's own, read from the same bytes as long as nobody writes into it. */
export const copyOf = <P extends Part>(part: P): P => {
  const own = PartCopy.of(part)
  const frame = frames.get(part)
  if (frame !== undefined) frames.set(own, frame)
  return own
}

const isSame = (original: Part, part: Part): boolean =>
  original === part ||
  PlainData.isSame(original, part) ||
  (original.type === "finish" &&
    part.type === "finish" &&
    original.reason === part.reason &&
    JSON.stringify(original.usage) === JSON.stringify(part.usage))
