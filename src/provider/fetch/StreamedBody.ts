/**
 * Reads along the body of an answer to a streamed call, and mends what hides from whoever reads only its events: something
 * else than events, and a connection that stays open behind the last one.
 */
import { StringDecoder } from "node:string_decoder"
import { Predicate } from "effect"
import * as NotEvents from "../errors/NotEvents.ts"
import { Pieces } from "../http/Pieces.ts"
import { Preamble } from "../http/Preamble.ts"
import { Parser } from "../http/Sse.ts"

/** Whom the body is passed on to. */
export interface Reader {
  readonly data: (bytes: Uint8Array) => void
  /** All has come that says something, although the connection may stay open. */
  readonly complete: () => void
  readonly fail: (error: unknown) => void
}

/** What is known of the answer before its body. */
export interface Head {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
}

/** The most characters of a page that are kept for its error. */
const mostOfPage = 4_096

export class StreamedBody {
  private readonly reader: Reader
  private readonly head: Head
  private readonly preamble = new Preamble()
  private readonly decoder = new StringDecoder("utf8")
  private readonly sse = new Parser((data) => {
    if (isLast(data)) this.isComplete = true
  }, Infinity)
  private form: "events" | "json" | undefined
  private readonly json = new Pieces()
  private isComplete = false

  constructor(reader: Reader, head: Head) {
    this.reader = reader
    this.head = head
  }

  data(bytes: Buffer): void {
    if (this.isComplete) return
    if (this.form === "json") this.json.add(bytes)
    else if (this.form === "events") this.events(bytes)
    else this.begin(bytes)
  }

  /** Ends the body with what came of it. */
  end(): void {
    if (this.isComplete) return
    this.isComplete = true
    if (this.form === "json") {
      const text = this.json.take().toString("utf8")
      const events = eventsOf(text)
      if (events === undefined) return this.refuse(text)
      this.reader.data(Buffer.from(events))
    }
    this.reader.complete()
  }

  /** Tells the form by its first character: no line of an event stream begins with a bracket. */
  private begin(bytes: Buffer): void {
    const begun = this.preamble.drop(bytes)
    const first = begun[0]
    if (first === undefined) return
    if (first === 0x3c) {
      this.isComplete = true
      return this.refuse(begun.subarray(0, mostOfPage).toString("utf8"))
    }
    this.form = first === 0x7b || first === 0x5b ? "json" : "events"
    if (this.form === "json") this.json.add(begun)
    else this.events(this.preamble.isIndented ? Buffer.concat([space, begun]) : begun)
  }

  private events(bytes: Buffer): void {
    this.sse.feed(this.decoder.write(bytes))
    this.reader.data(bytes)
    if (this.isComplete) this.reader.complete()
  }

  private refuse(responseBody: string): void {
    const { headers, status } = this.head
    this.reader.fail(new NotEvents.NotEvents({ statusCode: status, responseHeaders: headers, responseBody }))
  }
}

const space = Buffer.from(" ")

/** Whether nothing follows an event: of chat completions, or of OpenAI's Responses. */
const isLast = (data: string): boolean =>
  data === "[DONE]" || (data.length < 16 ? data.trim() === "[DONE]" : lastOfResponse.test(data))

const lastOfResponse = /^\{"type":"response\.(?:completed|incomplete|failed)"/

/** A whole chat completion, written as the stream that was asked for; `undefined` for everything else. */
const eventsOf = (text: string): string | undefined => {
  const answer = parsed(text)
  if (!Predicate.isObject(answer) || !Array.isArray(answer["choices"]) || answer["choices"].length === 0)
    return undefined
  const choices: Array<object> = []
  for (const choice of answer["choices"]) {
    if (!Predicate.isObject(choice) || !Predicate.isObject(choice["message"])) return undefined
    const { message, ...rest } = choice
    choices.push({ ...rest, delta: deltaOf(message) })
  }
  return `data: ${JSON.stringify({ ...answer, object: "chat.completion.chunk", choices })}\n\ndata: [DONE]\n\n`
}

/** In a stream, calls of tools are told apart by their index, which whole answers do not have. */
const deltaOf = (message: object): object => {
  const calls = Predicate.hasProperty(message, "tool_calls") ? message.tool_calls : undefined
  if (!Array.isArray(calls)) return message
  return { ...message, tool_calls: calls.map((call, index) => (Predicate.isObject(call) ? { ...call, index } : call)) }
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
