/**
 * Reads the body of an answer as it comes, whatever it turns out to be: events, or one JSON object, whoever asked for what.
 */
import { StringDecoder } from "node:string_decoder"
import { Predicate } from "effect"
import type { Response } from "effect/ai"
import { AnswerReader, type Props } from "./AnswerReader.ts"
import { ChatEvents } from "./ChatEvents.ts"
import * as CutJson from "../errors/CutJson.ts"
import * as Faults from "./Faults.ts"
import * as LooseJson from "./LooseJson.ts"
import * as SaidErrors from "./SaidErrors.ts"
import { Pieces } from "../http/Pieces.ts"
import { Preamble } from "../http/Preamble.ts"
import { Parser } from "../http/Sse.ts"

type Part = Response.StreamPartEncoded

export class AnswerBody {
  readonly reader: AnswerReader
  private readonly events: ChatEvents
  private readonly sse: Parser
  private readonly preamble = new Preamble()
  private decoder: StringDecoder | undefined
  private isInsideCharacter = false
  private form: "events" | "json" | undefined
  private readonly json = new Pieces()
  private out: Array<Part> = []

  constructor(props: Props) {
    this.reader = new AnswerReader(props)
    this.events = new ChatEvents(this.reader)
    this.sse = new Parser((data, name) => this.events.read(data, name, this.out), props.limits.maxEventSize)
  }

  /** Whether the server said that nothing follows. */
  get isDone(): boolean {
    return this.events.isDone
  }

  /** Reads on. Throws what is wrong; the parts that came before are in `out` then. */
  feed(bytes: Buffer, out: Array<Part>): void {
    this.out = out
    if (this.form === "json") this.json.add(bytes)
    else if (this.form === "events") this.sse.feed(this.decode(bytes))
    else this.begin(bytes)
  }

  /** Ends the answer with its `finish`, or throws why it has none. */
  end(out: Array<Part>, response: Response.FinishPartEncoded["response"]): void {
    if (this.form === "json") this.readJson(this.json.take().toString("utf8"), out)
    const rest = this.isDone ? undefined : this.sse.end()
    if (rest !== undefined) this.events.readLast(rest.data, rest.name, out)
    this.reader.end(out, response)
  }

  /** Reads one object, or several, each on a line of its own, as some servers write a stream. */
  private readJson(text: string, out: Array<Part>): void {
    if (!text.includes("\n")) return this.readOne(text, out)
    const lines = text.trimEnd().replaceAll("\r", "")
    const end = lines.indexOf("\n")
    if (end < 0 || !isJson(lines.slice(0, end))) this.readOne(text, out)
    else this.events.readLast(lines, "", out)
  }

  private readOne(text: string, out: Array<Part>): void {
    const answer = jsonOf(text)
    this.reader.read(answer, out)
    if (isForeign(answer))
      throw new Faults.Unreadable({ because: "the answer is no chat completion: it has no choices" })
  }

  /** Tells the form by its first character: no line of an event stream begins with a bracket. */
  private begin(bytes: Buffer): void {
    const begun = this.preamble.drop(bytes)
    const first = begun[0]
    if (first === undefined) return
    if (first === 0x3c) throw new Faults.Unreadable({ because: "the answer is a page, and no answer of a model" })
    this.form = first === 0x7b || first === 0x5b ? "json" : "events"
    if (this.form === "json") this.json.add(begun)
    // Whether its first line is indented matters to events.
    else this.sse.feed(`${this.preamble.isIndented ? " " : ""}${this.decode(begun)}`)
  }

  /** Bytes that end with ASCII hold whole characters only, which is the quick way. */
  private decode(bytes: Buffer): string {
    const endsInside = (bytes[bytes.length - 1] ?? 0) >= 0x80
    if (!endsInside && !this.isInsideCharacter) return bytes.toString("utf8")
    this.isInsideCharacter = endsInside
    return (this.decoder ??= new StringDecoder("utf8")).write(bytes)
  }
}

/** Whether an object is an answer to something else, or of another wire: whoever gave it would give it again. */
const isForeign = (answer: unknown): boolean =>
  Predicate.isObject(answer) &&
  SaidErrors.isSaid(answer) &&
  !("choices" in answer) &&
  answer["object"] !== "chat.completion"

const isJson = (text: string): boolean => {
  try {
    return LooseJson.parse(text) !== undefined
  } catch {
    return false
  }
}

const jsonOf = (text: string): unknown => {
  try {
    return LooseJson.parse(text)
  } catch {
    throw CutJson.is(text) ? new Faults.Cut() : new Faults.Unreadable({ because: "the answer is not JSON" })
  }
}
