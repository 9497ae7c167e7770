/**
 * Describes how one call is answered and what goes wrong with it, as plain data, and turns that into timed steps.
 *
 * The steps know nothing of who plays them: `FaultyModel` makes response parts of them, `FaultyServer` bytes.
 */
import { Duration } from "effect"

/** How one call is answered. `{}` answers at once, with a short text and without a fault. */
export interface Behaviour {
  /** How long things take. Default: no time at all. A reader who is slow himself waits no longer for that. */
  readonly latency?: Latency | undefined
  /** What is answered, in order. Default: one short text. `[]` is an answer without content. */
  readonly content?: ReadonlyArray<Content> | undefined
  /** Why the answer ends. Default: `tool-calls` when there is one in it, else `stop`. */
  readonly finishReason?: "stop" | "length" | "content-filter" | "tool-calls" | undefined
  /** What the call cost. Default: 10 in, 5 out. */
  readonly usage?: { readonly inputTokens: number; readonly outputTokens: number } | undefined
  /** Response headers, of answers and refusals, names in lower case. Added to `x-request-id` (`"faulty-1"`). */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** A burst of chunks that say nothing, in the middle of an answer that otherwise goes on. Default: none. */
  readonly flood?: Flood | undefined
  /** What ends the answer before its time. Default: nothing does. */
  readonly fault?: Fault | undefined
}

export interface Latency {
  /** Until the response headers. */
  readonly headers?: Duration.Input | undefined
  /** From the headers to the first chunk of content, or to the end of an answer without any. */
  readonly content?: Duration.Input | undefined
  /** From each chunk to the next, and from the last one to the end. */
  readonly gap?: Duration.Input | undefined
}

/** A block of the answer. Streams send it in so many chunks, of at least one character. Default: 3. */
export type Content = (
  | { readonly text: string }
  | { readonly reasoning: string }
  | { readonly toolCall: { readonly id: string; readonly name: string; readonly params: object } }
) & { readonly chunks?: number | undefined }

export type Kind = "text" | "reasoning" | "tool-call"

/**
 * A moment of an answer.
 *
 * - `headers`: instead of the response headers.
 * - `content`: after the headers, when the first chunk of content is due.
 * - `after`: once so many chunks were sent, of the kind named or of any. In an answer with fewer of them, `finish`.
 * - `finish`: after the last chunk, when the end is due.
 *
 * A call that is not streamed has the same moments at the same times, and its whole content arrives with the end.
 */
export type Point = "headers" | "content" | "finish" | { readonly after: number; readonly in?: Kind | undefined }

/** A point at which the response headers are there. */
export type PointInside = Exclude<Point, "headers">

export type Fault =
  /** The call is answered with an HTTP error, when the headers are due. */
  | ({ readonly is: "refuse" } & Rejection)
  /** The answer began well (HTTP 200) and then holds an error instead of going on. */
  | ({ readonly is: "error"; readonly at: PointInside } & Rejection)
  /**
   * Nothing follows, for ever. The connection stays open, and may be kept alive by chunks that say nothing, unless it
   * stalls at `headers`.
   */
  | {
      readonly is: "stall"
      readonly at: Point
      readonly keepAlive?: KeepAlive | undefined
    }
  /** The connection is lost. */
  | { readonly is: "cut"; readonly at: Point }
  /** The connection is closed in order, as if the answer were complete. */
  | { readonly is: "end"; readonly at: PointInside }
  /** A chunk, or the whole answer of a call that is not streamed, is no JSON. */
  | { readonly is: "malformed"; readonly at: PointInside }
  /** The provider has a bug: it dies. (A server has only the connection to lose.) */
  | { readonly is: "die"; readonly at: Point }

export interface Rejection {
  readonly because: Because
  /** The wait that is asked for: in the `retry-after` headers of a refusal, in the message of an error. Default: none. */
  readonly retryAfter?: Duration.Input | undefined
  /** The HTTP status. Default: the one that goes with the cause; 503 for `overloaded`, where others send 529. */
  readonly status?: number | undefined
}

export type Because =
  | "rate limited"
  | "quota exhausted"
  | "overloaded"
  | "server error"
  | "unauthorized"
  | "forbidden"
  | "invalid request"
  | "unknown model"
  | "content policy"

/**
 * Chunks that say nothing: comments on the wire, which a provider drops, so that only their time is seen; or deltas
 * without text, which reach the caller.
 */
export type Noise = "comments" | "empty deltas"

export interface KeepAlive {
  readonly every: Duration.Input
  /** Default: `empty deltas`. */
  readonly as?: Noise | undefined
}

export interface Flood {
  readonly at: PointInside
  readonly count: number
  /** Default: `empty deltas`. */
  readonly as?: Noise | undefined
  /** The time from one to the next. Default: none. */
  readonly every?: Duration.Input | undefined
}

/** What holds where a behaviour says nothing. */
export const defaults = {
  content: [{ text: "Anchors hold what currents would carry away." }],
  chunks: 3,
  usage: { inputTokens: 10, outputTokens: 5 },
  noise: "empty deltas"
} as const satisfies Pick<Behaviour, "content" | "usage"> & { readonly chunks: number; readonly noise: Noise }

/** One thing that happens, so many milliseconds after the call began. The last one is `finish` or `fault`. */
export type Step = { readonly at: number } & (
  | { readonly do: "headers" }
  | { readonly do: "delta"; readonly block: Block; readonly delta: string }
  | { readonly do: "noise"; readonly as: Noise }
  | { readonly do: "fault"; readonly fault: Fault }
  | { readonly do: "finish" }
)

/** A block of the answer that is being sent. */
export interface Block {
  readonly index: number
  readonly kind: Kind
  readonly content: Content
}

/** Plays a behaviour, step by step, as far as somebody reads. */
export function* steps(behaviour: Behaviour): Generator<Step, void> {
  const { fault, flood } = behaviour
  const gap = millis(behaviour.latency?.gap)
  let at = millis(behaviour.latency?.headers)
  if (fault !== undefined && (fault.is === "refuse" || fault.at === "headers")) return yield { at, do: "fault", fault }
  yield { at, do: "headers" }
  at += millis(behaviour.latency?.content)
  const sent = { any: 0, text: 0, reasoning: 0, "tool-call": 0 }
  let flooded = flood === undefined

  for (const block of [...blocksOf(behaviour), undefined]) {
    for (const delta of block === undefined ? [""] : chunksOf(block.content)) {
      if (sent.any > 0) at += gap
      if (!flooded && flood !== undefined && isReached(flood.at, sent, block?.kind)) {
        flooded = true
        for (let left = flood.count; left > 0; left--) {
          yield { at, do: "noise", as: flood.as ?? defaults.noise }
          at += millis(flood.every)
        }
      }
      if (fault !== undefined && isReached(fault.at, sent, block?.kind)) return yield { at, do: "fault", fault }
      if (block === undefined) return yield { at, do: "finish" }
      yield { at, do: "delta", block, delta }
      sent.any += 1
      sent[block.kind] += 1
    }
  }
}

/** What follows a stall that is kept alive, and nothing after one that is not. */
export function* keepAlive(at: number, stall: Extract<Fault, { readonly is: "stall" }>): Generator<Step, void> {
  if (stall.keepAlive === undefined || stall.at === "headers") return
  const { as = defaults.noise, every } = stall.keepAlive
  for (let due = at + millis(every); ; due += millis(every)) yield { at: due, do: "noise", as }
}

/** Whether a point has come before the next chunk, which is of this kind; without a kind, before the end. */
const isReached = (point: Point, sent: Readonly<Record<Kind | "any", number>>, next: Kind | undefined): boolean => {
  if (next === undefined || point === "content") return true
  if (typeof point === "string") return false
  return sent[point.in ?? "any"] >= point.after && (point.after > 0 || point.in === undefined || point.in === next)
}

/** The blocks of an answer that have anything in them. */
export const blocksOf = ({ content = defaults.content }: Behaviour): ReadonlyArray<Block> =>
  content.flatMap((each, index) => (textOf(each) === "" ? [] : [{ index, kind: kindOf(each), content: each }]))

const kindOf = (content: Content): Kind =>
  "text" in content ? "text" : "reasoning" in content ? "reasoning" : "tool-call"

/** The characters of a block: its text, or a tool's parameters as JSON. */
export const textOf = (content: Content): string => {
  if ("text" in content) return content.text
  return "reasoning" in content ? content.reasoning : JSON.stringify(content.toolCall.params)
}

const chunksOf = (content: Content): ReadonlyArray<string> => {
  const characters = Array.from(textOf(content))
  const count = Math.min(content.chunks ?? defaults.chunks, characters.length)
  const bound = (chunk: number) => Math.round((chunk * characters.length) / count)
  return Array.from({ length: count }, (_, chunk) => characters.slice(bound(chunk), bound(chunk + 1)).join(""))
}

/** Why an answer that comes to its end has ended. */
export const finishReasonOf = (behaviour: Behaviour): NonNullable<Behaviour["finishReason"]> =>
  behaviour.finishReason ?? (behaviour.content?.some((each) => "toolCall" in each) === true ? "tool-calls" : "stop")

const millis = (duration: Duration.Input | undefined): number =>
  duration === undefined ? 0 : typeof duration === "number" ? duration : Duration.toMillis(duration)

/** Throws a `RangeError` that names the first number of a behaviour that makes no sense. */
export const check = (behaviour: Behaviour): void => {
  const { content, fault, flood, latency, usage } = behaviour
  for (const [name, duration] of Object.entries(latency ?? {})) checkDuration(`latency.${name}`, duration)
  for (const { chunks } of content ?? []) checkCount("content.chunks", chunks, 1)
  checkCount("usage.inputTokens", usage?.inputTokens, 0)
  checkCount("usage.outputTokens", usage?.outputTokens, 0)
  checkCount("flood.count", flood?.count, 0)
  checkDuration("flood.every", flood?.every)
  checkPoint("flood.at", flood?.at)
  if (fault === undefined) return
  if ("at" in fault) checkPoint("fault.at", fault.at)
  if ("because" in fault) {
    checkDuration("fault.retryAfter", fault.retryAfter)
    if (fault.status !== undefined && !(Number.isInteger(fault.status) && fault.status >= 400 && fault.status < 600))
      throw new RangeError(`fault.status must be from 400 to 599, not ${fault.status}`)
  }
  if (fault.is === "stall" && fault.keepAlive !== undefined && !(millis(fault.keepAlive.every) > 0))
    throw new RangeError(`fault.keepAlive.every must be more than 0, not ${String(fault.keepAlive.every)}`)
}

const checkPoint = (name: string, point: Point | undefined): void => {
  if (typeof point === "object") checkCount(`${name}.after`, point.after, 0)
}

const checkCount = (name: string, count: number | undefined, least: number): void => {
  if (count !== undefined && !(Number.isSafeInteger(count) && count >= least))
    throw new RangeError(`${name} must be a whole number of at least ${least}, not ${count}`)
}

const checkDuration = (name: string, duration: Duration.Input | undefined): void => {
  if (duration !== undefined && !(Duration.toMillis(duration) >= 0))
    throw new RangeError(`${name} must not be negative, not ${String(duration)}`)
}
