/**
 * Gives the bytes of a streamed answer: the server's own, and from where a policy changed it the events written anew.
 */
import { Predicate, Stream } from "effect"
import type { Response } from "effect/ai"
import * as OptionCheck from "../../core/OptionCheck.ts"
import * as WireBytes from "../../core/call/WireBytes.ts"
import * as Fields from "./AnswerFields.ts"
import type { TextField } from "./TextBlocks.ts"
import type { Json } from "./Messages.ts"
import * as Notes from "./Notes.ts"
import * as ThinkingPart from "./ThinkingPart.ts"

type Part = Response.StreamPartEncoded

export interface Options {
  /** Whether to write what the answer cost, in a chunk without choices. Default true. */
  readonly usage?: boolean | undefined
}

const check = OptionCheck.of("ChatWire.answerEvents")
const fields: OptionCheck.Fields<Options> = { usage: true }

/** See `ChatWire.answerEvents`, which is this. */
export const bytesOf = <E, R>(
  parts: Stream.Stream<Part, E, R>,
  options: Options = {}
): Stream.Stream<Uint8Array, E, R> => {
  check.fields(options, fields)
  const usage = check.flag("usage", options.usage ?? true)
  return Stream.suspend(() => {
    const reading = new WireBytes.Reading()
    const events = new AnswerEvents(usage)
    let held = ""
    const step = (part: Part): Uint8Array => {
      const next = reading.next(part)
      // Also what is given as it came is read, to know how to go on.
      held += events.of(part)
      if (next === "held") return nothing
      const written = held
      held = ""
      return next === "changed" ? Buffer.from(written) : next
    }
    return Stream.filter(Stream.map(parts, step), (bytes) => bytes.length > 0)
  })
}

const nothing = new Uint8Array(0)

/** Writes an answer, part by part. */
class AnswerEvents {
  private readonly hasUsage: boolean
  private head: Json | undefined
  private hasBegun = false
  /** The fields of the blocks that are open, by their ids. */
  private readonly fields = new Map<string, TextField>()
  /** The frames of open blocks of thinking, by their ids. */
  private readonly frames = new Map<string, Json>()
  private readonly calls = new Map<string, { readonly index: number; isSaid: boolean }>()
  private isRefusal = false

  constructor(hasUsage: boolean) {
    this.hasUsage = hasUsage
  }

  /** The events of the next part; none for one that says nothing by itself. */
  of(part: Part): string {
    switch (part.type) {
      case "response-metadata":
        this.head ??= Fields.headOf(part)
        return ""
      case "text-start":
      case "reasoning-start": {
        const field = Fields.fieldOf(part.type === "text-start" ? "text" : "reasoning", part.metadata)
        this.fields.set(part.id, field)
        this.isRefusal ||= field === "refusal"
        const frame = field === "thinking" ? Notes.frameIn(part.metadata) : undefined
        if (frame !== undefined) this.frames.set(part.id, { type: frame["type"], thinking: frame["thinking"] })
        return ""
      }
      case "text-delta":
      case "reasoning-delta": {
        const usual = part.type === "text-delta" ? "content" : "reasoning_content"
        const field = this.fields.get(part.id) ?? usual
        if (field === "thinking") return this.thinking(this.frames.get(part.id), part.delta)
        return this.chunk({ [field]: part.delta })
      }
      case "reasoning-end": {
        const frame = Notes.frameIn(part.metadata)
        return frame !== undefined && ThinkingPart.isSealed(frame) ? this.thinking(frame, "") : ""
      }
      case "tool-params-start":
        return part.providerExecuted === true ? "" : this.beginCall(part.id, part.name)
      case "tool-params-delta":
        return this.params(part.id, part.delta)
      case "tool-call":
        return this.call(part)
      case "file":
        return this.chunk({ images: [Fields.imageOf(Fields.fileUrlOf(part))] })
      case "source": {
        const source = Fields.sourceOf(part)
        if (source === undefined) return ""
        return this.chunk(
          "image" in source ? { images: [Fields.imageOf(source.image)] } : { annotations: [source.annotation] }
        )
      }
      case "error":
        return eventOf({ error: Predicate.isObject(part.error) ? part.error : { message: String(part.error) } })
      case "finish":
        return this.finish(part)
      default:
        return ""
    }
  }

  private thinking(frame: Json | undefined, text: string): string {
    return this.chunk({ content: [ThinkingPart.written(frame, text)] })
  }

  private beginCall(id: string, name: string): string {
    const index = this.calls.size
    this.calls.set(id, { index, isSaid: false })
    return this.chunk({ tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] })
  }

  private params(id: string, delta: string): string {
    const call = this.calls.get(id)
    if (call === undefined || delta === "") return ""
    call.isSaid = true
    return this.chunk({ tool_calls: [{ index: call.index, function: { arguments: delta } }] })
  }

  /** A call that came with all of its parameters at once, or with none. */
  private call(part: Response.ToolCallPartEncoded): string {
    if (part.providerExecuted === true) return ""
    const begun = this.calls.has(part.id) ? "" : this.beginCall(part.id, part.name)
    const { index = 0, isSaid = false } = this.calls.get(part.id) ?? {}
    const more = Notes.callIn(part.metadata)
    const noted = Object.keys(more).length === 0 ? "" : this.chunk({ tool_calls: [{ index, ...more }] })
    return `${begun}${isSaid ? "" : this.params(part.id, Fields.argumentsOf(part.params))}${noted}`
  }

  private finish(part: Response.FinishPartEncoded): string {
    const kept = Fields.keptOf(part)
    if (kept.body !== undefined) return kept.body
    const seen = { calledTools: this.calls.size > 0, isRefusal: this.isRefusal }
    const last = { finish_reason: Fields.wordOf(part, kept, seen), ...kept.choice }
    const usage = this.hasUsage ? Fields.usageOf(part, kept) : undefined
    const counted = usage === undefined ? "" : eventOf(this.answer({ choices: [], usage }))
    return `${this.chunk(kept.message, last, kept.answer)}${counted}data: [DONE]\n\n`
  }

  private chunk(delta: Json, last: Json = notLast, more: Json = {}): string {
    const role = this.hasBegun ? {} : { role: "assistant" }
    this.hasBegun = true
    return eventOf(this.answer({ choices: [{ index: 0, delta: { ...role, ...delta }, ...last }], ...more }))
  }

  private answer(fields: Json): Json {
    const { id, ...head } = this.head ?? {}
    return { ...(id === undefined ? {} : { id }), object: "chat.completion.chunk", ...head, ...fields }
  }
}

const notLast = { finish_reason: null }

const eventOf = (value: Json): string => `data: ${JSON.stringify(value)}\n\n`
