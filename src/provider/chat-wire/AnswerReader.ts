/**
 * Reads an answer, chunk by chunk, as a well-formed stream of parts. A whole answer is read as one chunk, so that both
 * ways say the same.
 *
 * What a server says in a way of its own is read here, and in `ToolCalls.ts` for calls of tools. A field that is in none of the
 * `known…` sets is kept as metadata, as it came.
 */
import { Predicate, type Schema } from "effect"
import { AiError, type Response } from "effect/ai"
import * as Usage from "../../core/call/Usage.ts"
import * as FinishWord from "../errors/FinishWord.ts"
import type { NamedTools } from "../tools/OfferedTools.ts"
import * as AnswerHead from "./AnswerHead.ts"
import * as AnswerImage from "./AnswerImage.ts"
import { type Choice, Choices } from "./Choices.ts"
import * as Extras from "./Extras.ts"
import * as Faults from "./Faults.ts"
import * as Finish from "./Finish.ts"
import type * as Limits from "./Limits.ts"
import * as Notes from "./Notes.ts"
import * as SaidErrors from "./SaidErrors.ts"
import { TextBlocks, type TextField } from "./TextBlocks.ts"
import * as ThinkingPart from "./ThinkingPart.ts"
import { ToolCalls } from "./ToolCalls.ts"

type Part = Response.StreamPartEncoded
type Fields = Readonly<Record<string, unknown>>

/** What a reader needs to know of its call. */
export interface Props {
  readonly tools: NamedTools
  readonly limits: Limits.Resolved
  /** Who answers. */
  readonly provider: string
  /** Makes ids for tool calls without one, if the answer has no id either. */
  readonly requestId: string | undefined
}

const none: ReadonlySet<string> = new Set()
const knownOfAnswer = new Set(["id", "object", "created", "model", "choices", "usage", "error"])
const knownOfChoice = new Set(["index", "delta", "message", "finish_reason", "logprobs", "error", "usage", "text"])
const knownOfMessage = new Set([
  "role",
  "content",
  "reasoning_content",
  "reasoning",
  "refusal",
  "tool_calls",
  "function_call",
  "images"
])

export class AnswerReader {
  /** The field whose text the last chunk brought, when it brought only that, to a block that was open. */
  plainField: TextField | undefined
  private readonly props: Props
  private readonly choices = new Choices()
  private readonly calls: ToolCalls
  private readonly extras: Extras.Extras
  private head: AnswerHead.AnswerHead | undefined
  private readonly blocks: TextBlocks
  private word: string | undefined
  private usage: Finish.Counted | undefined
  private isRefusal = false
  private hasFile = false
  /** Whether the field for what was thought came empty, and no thought. A server that gives it may refuse to be without it. */
  private hasEmptyThought = false
  private hasThought = false
  /** Whether the content had a part that nobody here can read. */
  private hasUnread = false
  /** The fields whose text came in deltas. */
  private readonly begun = new Set<string>()

  constructor(props: Props) {
    this.props = props
    this.calls = new ToolCalls(props)
    this.extras = new Extras.Extras(props.limits)
    this.blocks = new TextBlocks(props.provider)
  }

  /** Whether the answer has said why it ended. */
  get hasFinished(): boolean {
    return this.word !== undefined || this.choices.hasFinished
  }

  /** Whether the last chunk of a choice brought content: a reason beside that, or before it, is not always the end. */
  endsWithContent = false

  /** Whether it has said what it cost as well, after which nothing can come. */
  get isCounted(): boolean {
    return this.hasFinished && this.usage !== undefined
  }

  /** How many pieces came of other answers than the one that is read. */
  get others(): number {
    return this.choices.others
  }

  /** Whether anything came that a model says. */
  get hasSaid(): boolean {
    return this.blocks.any || !this.isMute || this.calls.any
  }

  /** What the answer has cost so far, as far as it said so. */
  get cost(): Usage.Usage | undefined {
    return this.usage && Usage.fromFinish({ usage: Finish.usageOf(this.usage) })
  }

  /** Whether neither text nor a file came. */
  private get isMute(): boolean {
    return this.blocks.isMute && !this.hasFile
  }

  /** Reads one chunk, or a whole answer. Throws what is wrong with it. */
  read(chunk: unknown, out: Array<Part>): void {
    this.plainField = undefined
    if (SaidErrors.areErrors(chunk)) throw new Faults.Refused({ body: chunk })
    if (!Predicate.isObject(chunk)) throw new Faults.Unreadable({ because: "the answer is no JSON object" })
    // What failed has cost something too. Groq says it in a field of its own as well.
    this.count(Predicate.isObject(chunk["x_groq"]) ? chunk["x_groq"]["usage"] : undefined)
    this.count(chunk["usage"])
    if (SaidErrors.isError(chunk)) throw new Faults.Refused({ body: SaidErrors.bodyOf(chunk) })
    const head = this.head === undefined ? AnswerHead.of(chunk) : undefined
    if (head !== undefined) out.push((this.head = head))
    this.extras.last(this.extras.answer, chunk, knownOfAnswer)
    const choice = this.choices.first(chunk["choices"])
    if (choice === undefined) return
    this.readChoice(choice, out)
    for (const message of Choices.restOf(choice, chunk["choices"])) this.readCalls(message, false, out)
  }

  /** Keeps what the answer cost. It may be said in several places, and some of it in each. */
  private count(usage: unknown): void {
    if (Predicate.isObject(usage)) Finish.add((this.usage ??= {}), usage)
    else if (SaidErrors.isSaid(usage)) this.extras.last(this.extras.answer, { usage }, none)
  }

  /** Adds text to a block, which is begun unless it is open. */
  text(field: TextField, delta: string, out: Array<Part>): void {
    this.endsWithContent = true
    this.blocks.text(field, delta, out)
  }

  /** Ends the answer. Throws {@link Faults.Cut} when it did not say that it is finished. */
  end(out: Array<Part>, response: Response.FinishPartEncoded["response"]): void {
    for (const choice of this.choices.rest()) this.readChoice(choice, out)
    const { extras, usage, word } = this
    if (word === undefined) throw new Faults.Cut()
    const back = Notes.messageOf(extras.message)
    if (this.hasEmptyThought && !this.hasThought) back["reasoning_content"] ??= ""
    this.blocks.close(out, this.calls.any ? undefined : back)
    this.calls.end(back, this.isMute, out)
    if (this.hasUnread && this.isMute && !this.calls.any) {
      throw new Faults.Unreadable({ because: "the content of the message has no part of a known type" })
    }
    if (this.isMute && !this.calls.any && FinishWord.meaningOf(word) === "tool-calls") {
      throw new AiError.InvalidOutputError({ description: "the answer says that it calls tools, and calls none" })
    }
    const reason = this.isRefusal ? "content-filter" : Finish.reasonOf(word, this.calls.any)
    const kept = [
      ["usage", usage],
      ["answer", extras.answer],
      ["choice", extras.choice],
      ["message", extras.message]
    ] as const
    const chatWire: Record<string, Schema.Json> = { finishReason: word }
    for (const [name, fields] of kept) {
      if (Predicate.isObject(fields) && Object.keys(fields).length > 0) extras.piece(chatWire, name, fields)
    }
    out.push({
      type: "finish",
      reason,
      usage: Finish.usageOf(usage),
      ...(response === undefined ? {} : { response }),
      metadata: { chatWire }
    })
  }

  private readChoice(choice: Choice, out: Array<Part>): void {
    this.count(choice["usage"])
    if (SaidErrors.isSaid(choice["error"])) throw new Faults.Refused({ body: { error: choice["error"] } })
    const isWhole = !Predicate.isNotNullish(choice["delta"])
    const message = isWhole ? this.unread(choice["message"] ?? legacyOf(choice)) : choice["delta"]
    const before = out.length
    let isPlain = false
    if (Predicate.isObject(message) && SaidErrors.isSaid(message["error"]))
      throw new Faults.Refused({ body: { error: message["error"] } })
    if (Predicate.isObject(message)) isPlain = this.readMessage(message, isWhole, out)
    this.endsWithContent = out.length > before
    this.extras.last(this.extras.choice, choice, knownOfChoice)
    if (Predicate.isNotNullish(choice["logprobs"])) {
      this.extras.piece(this.extras.choice, "logprobs", choice["logprobs"])
      isPlain = false
    }
    const word = choice["finish_reason"]
    if (FinishWord.isWord(word)) {
      if (FinishWord.isFailure(word))
        throw new Faults.Refused({ body: FinishWord.failureOf(word, choice["native_finish_reason"]) })
      // A "stop" behind another reason says nothing new.
      if (this.word === undefined || FinishWord.meaningOf(word) !== "stop") this.word = word
    } else if (isPlain && out.length === before + 1) this.plainField = this.blocks.field
  }

  /** Says whether there was text at most. */
  private readMessage(message: Fields, isWhole: boolean, out: Array<Part>): boolean {
    // Some servers send both fields, one of them empty or both with the same text.
    const reasoning = isText(message["reasoning_content"]) ? "reasoning_content" : "reasoning"
    let isPlain = true
    if (!isWhole) for (const name in message) if (SaidErrors.isSaid(message[name])) this.begun.add(name)
    if (this.textIn(message, reasoning, out)) this.hasThought = true
    else if (message["reasoning_content"] === "") this.hasEmptyThought = true
    const content = message["content"]
    if (Predicate.isString(content)) {
      if (content !== "") this.text("content", content, out)
    } else if (Array.isArray(content)) {
      isPlain = false
      for (const part of content) this.readContent(part, out)
    } else if (SaidErrors.isSaid(content)) throw unreadable("content", content)
    if (this.refusalIn(message, out)) isPlain = false
    // What was said aloud is written down beside the sound.
    const audio = message["audio"]
    if (Predicate.isObject(audio) && isText(audio["transcript"])) {
      isPlain = false
      this.text("content", audio["transcript"], out)
    }
    const { images } = message
    if (SaidErrors.isSaid(images)) {
      isPlain = false
      for (const image of Array.isArray(images) ? images : [images])
        if (Predicate.isString(image)) this.file(image, out)
        else this.readContent(image, out)
    }
    if (this.readCalls(message, isWhole, out)) isPlain = false
    if (this.keepUnread(message)) isPlain = false
    return !this.extras.pieces(this.extras.message, message, knownOfMessage) && isPlain
  }

  /** Keeps what stands in a field and has another form: nobody here can read it, and its server may want it back. */
  private keepUnread(message: Fields): boolean {
    let any = false
    const other = message["reasoning_content"]
    for (const name of readFields) {
      const value = message[name]
      if (!Predicate.isNotNullish(value)) continue
      const isRead = name === "function_call" ? Predicate.isObject(value) : !Predicate.isObjectOrArray(value)
      const isOther = name === "reasoning" && isText(value) && isText(other) && value !== other
      if ((isRead && !isOther) || !SaidErrors.isSaid(value)) continue
      any = true
      this.extras.piece(this.extras.message, name, value)
    }
    return any
  }

  /** Reads the calls of a message, in the field that they stand in now or in the one before. Some servers fill both. */
  private readCalls(message: Fields, isWhole: boolean, out: Array<Part>): boolean {
    const prefix = this.head?.id ?? this.props.requestId ?? "call"
    const said = message["tool_calls"]
    // Text Generation Inference streams one call, without a list around it.
    const calls = Predicate.hasProperty(said, "function") ? [said] : said
    if (Array.isArray(calls) && calls.length > 0) {
      for (const [place, item] of calls.entries())
        if (Predicate.isNotNullish(item)) this.calls.add(item, prefix, out, isWhole ? place : undefined)
      return true
    }
    if (!Array.isArray(calls) && SaidErrors.isSaid(calls)) throw unreadable("tool_calls", calls)
    if (!Predicate.isObject(message["function_call"])) return false
    this.calls.add({ index: 0, function: message["function_call"] }, prefix, out)
    return true
  }

  /** What a message says that did not come in deltas: some servers end a stream with the whole message. */
  private unread(message: unknown): unknown {
    if (!Predicate.isObject(message) || this.begun.size === 0) return message
    const isReasoned = reasoningFields.some((name) => this.begun.has(name))
    const isRead = (name: string) => this.begun.has(name) || (isReasoned && reasoningFields.includes(name))
    return Object.fromEntries(Object.entries(message).filter(([name]) => !isRead(name)))
  }

  private textIn(message: Fields, field: TextField, out: Array<Part>): boolean {
    const text = message[field]
    if (!isText(text)) return false
    this.text(field, text, out)
    return true
  }

  /** Reads a part of a message whose content is a list: text, thinking or an image. Others are kept as they are. */
  private readContent(part: unknown, out: Array<Part>): void {
    if (isText(part)) return this.text("content", part, out)
    if (part === "") return
    if (!Predicate.isObject(part)) throw new Faults.Unreadable({ because: "a part of the content is no object" })
    const text = Predicate.isObject(part["text"]) ? part["text"]["value"] : part["text"]
    if (Predicate.isString(text)) {
      if (text !== "") this.text("content", text, out)
      return
    }
    if (ThinkingPart.isThinking(part)) {
      for (const block of ThinkingPart.blocksOf(part)) this.thinking(block, out)
      return
    }
    if (this.refusalIn(part, out)) return
    const image = Predicate.isObject(part["image_url"]) ? part["image_url"]["url"] : part["image_url"]
    if (Predicate.isString(image)) return this.file(image, out)
    this.hasUnread = true
    this.extras.piece(this.extras.message, "content", [part])
  }

  /** Reads a piece of thinking, or a whole one: each that is signed is a block of its own. */
  private thinking(part: Fields, out: Array<Part>): void {
    const { others, text } = ThinkingPart.piecesOf(part)
    for (const other of others)
      this.extras.piece(this.extras.message, "content", [{ type: "thinking", thinking: [other] }])
    const frame = ThinkingPart.emptyFrame(part)
    this.extras.last(frame, part, ThinkingPart.knownFields)
    if (text === "" && !ThinkingPart.isSealed(frame)) return
    if (frame["signature"] === "") delete frame["signature"]
    this.blocks.frame(frame, out)
    if (text !== "") this.text("thinking", text, out)
  }

  private refusalIn(said: Fields, out: Array<Part>): boolean {
    if (!this.textIn(said, "refusal", out)) return false
    this.isRefusal = true
    return true
  }

  private file(url: string, out: Array<Part>): void {
    this.blocks.close(out)
    this.hasFile = true
    out.push(AnswerImage.of(url))
  }
}

/** The message of a server that answers as completions did before there were chats. */
const legacyOf = ({ text }: Choice): unknown => (isText(text) ? { content: text } : undefined)

const readFields = ["reasoning_content", "reasoning", "refusal", "function_call"]

const reasoningFields = ["reasoning", "reasoning_content"]

const isText = (value: unknown): value is string => Predicate.isString(value) && value !== ""

/** An answer must not look empty because nobody here can read it. */
const unreadable = (field: string, value: unknown) => {
  const because = `the field ${field} of the message is ${Predicate.isObject(value) ? "an object" : `a ${typeof value}`}`
  return new Faults.Unreadable({ because })
}
