/**
 * Makes one call: sends the request, reads the answer, and closes the connection whatever happens.
 */
import { Array, Cause, Effect, type Pull, type Scope, Stream } from "effect"
import type { AiError, Response } from "effect/ai"
import * as Monotonic from "../../core/Monotonic.ts"
import * as Failure from "../../core/call/Failure.ts"
import * as ResponseHeaders from "../../core/call/ResponseHeaders.ts"
import * as OpenStream from "../../core/stream/OpenStream.ts"
import * as WholeParts from "../../core/stream/WholeParts.ts"
import * as Exchange from "../http/Exchange.ts"
import * as HeaderNames from "../http/ResponseHeaderNames.ts"
import { AnswerBody } from "./AnswerBody.ts"
import type { Props } from "./AnswerReader.ts"
import { AnswerBytes, WholeBytes } from "./AnswerBytes.ts"
import * as WireError from "./WireError.ts"
import * as Faults from "./Faults.ts"
import { Inbox } from "./Inbox.ts"
import type { WireLog } from "./WireLog.ts"

type Part = Response.StreamPartEncoded

/** A request that is ready to be sent. */
export interface Request {
  readonly request: Exchange.Request
  readonly limits: Props["limits"]
  readonly keepHeaders: ReadonlySet<string>
  readonly failure: WireError.Context
  readonly log: WireLog | undefined
}

/** A call that is ready to be sent. */
export interface Ready extends Request {
  readonly tools: Props["tools"]
  readonly provider: string
  /** Whether to remember which bytes the parts were read from. */
  readonly recordsBytes: boolean
}

/** How long to wait, once the answer is complete, for the end of the body, so that the connection can be used again. */
const drainLimit = "100 millis"

/**
 * How many milliseconds to wait in all, whatever else comes, once the answer says why it ended: for what it cost, and
 * from then on for `[DONE]`.
 */
const afterFinish = { counted: 1_000, uncounted: 5_000 } as const

/** The same for an answer whose reason came beside content, or before it: some servers write one into every chunk. */
const afterContent = 30_000

/** Gives the whole answer. The connection is closed whatever happens, unless the answer is complete. */
export const whole = (ready: Ready): Effect.Effect<Array<Response.PartEncoded>, AiError.AiError> =>
  Effect.suspend(() => {
    const inbox = new Inbox()
    return Effect.onExitPrimitive(
      Effect.flatMap(ask(ready, inbox, answerOf), (answer) => {
        const parts: Array<Part> = []
        const read = (): Effect.Effect<Array<Response.PartEncoded>, AiError.AiError> => {
          const more = answer.read(parts)
          if (more !== undefined) return Effect.flatMap(more, read)
          return answer.isOver ? Effect.succeed(answer.whole(parts)) : Effect.suspend(read)
        }
        return read()
      }),
      () => void closed(ready, inbox)
    )
  })

/** Gives the answer as it comes. The connection is closed when the stream ends, fails, is interrupted or left. */
export const stream = (ready: Ready): Stream.Stream<Part, AiError.AiError> =>
  OpenStream.unwrap(Effect.map(open(ready), (answer) => Stream.fromPull(Effect.succeed(pull(answer)))))

/** Closes the connection. What has not ended by then was given up. */
export const closed = ({ log }: Request, inbox: Inbox): void => {
  inbox.exchange?.close()
  log?.ended(undefined, "given up")
}

const pull = (answer: Answer): Pull.Pull<Array.NonEmptyReadonlyArray<Part>, AiError.AiError> => {
  const next: Pull.Pull<Array.NonEmptyReadonlyArray<Part>, AiError.AiError> = Effect.suspend(() => {
    if (answer.isOver) return Effect.andThen(answer.drain, Cause.done())
    const parts: Array<Part> = []
    const more = answer.read(parts)
    if (Array.isReadonlyArrayNonEmpty(parts)) return Effect.succeed(parts)
    return more === undefined ? next : Effect.andThen(more, next)
  })
  return next
}

const open = (ready: Ready): Effect.Effect<Answer, AiError.AiError, Scope.Scope> =>
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.sync(() => new Inbox()),
      (inbox) => Effect.sync(() => closed(ready, inbox))
    ),
    (inbox) => ask(ready, inbox, answerOf)
  )

/** What is known of a call whose server has begun an answer that says yes. */
export type Begun = WireError.Context & { readonly status: number }

const answerOf: Begin<Ready, Answer> = (ready, inbox, context) => new Answer(ready, inbox, context)

/** Begins to read an answer. */
type Begin<R extends Request, A> = (ready: R, inbox: Inbox, context: Begun) => A

/** Sends the request and waits for an answer that says yes. Whoever gave the inbox closes its exchange. */
export const ask = <R extends Request, A>(
  ready: R,
  inbox: Inbox,
  begin: Begin<R, A>
): Effect.Effect<A, AiError.AiError> =>
  Effect.suspend(() => {
    ready.log?.sent(ready.request)
    inbox.exchange = Exchange.send(ready.request, inbox, ready.limits.maxBytes)
    return answered(ready, inbox, begin)
  })

const answered = <R extends Request, A>(
  ready: R,
  inbox: Inbox,
  begin: Begin<R, A>
): Effect.Effect<A, AiError.AiError> => {
  const { status } = inbox
  if (status === undefined) {
    return inbox.failure === undefined
      ? Effect.flatMap(inbox.wait, () => answered(ready, inbox, begin))
      : failed(inbox.failure.error, ready, ready.failure)
  }
  const headers = masked(HeaderNames.passed(inbox.headers, ready.keepHeaders), ready.failure.mask)
  const context = { ...ready.failure, status, headers }
  ready.log?.answered(status, headers)
  return status === 200 || status === 201 || status === 202 || status === 203
    ? Effect.map(ResponseHeaders.received(headers), () => begin(ready, inbox, context))
    : refused(ready, inbox, context)
}

export const failed = (
  error: unknown,
  { log }: Request,
  context: WireError.Context
): Effect.Effect<never, AiError.AiError> => {
  const failure = WireError.of(error, context)
  log?.ended(undefined, failure.message)
  return Effect.fail(failure)
}

const masked = (headers: Record<string, string>, mask: WireError.Context["mask"]): Readonly<Record<string, string>> => {
  for (const name in headers) headers[name] = mask(headers[name] ?? "")
  return headers
}

/** Reads what a server says that says no, as much of it as may be read and comes in time. */
const refused = (ready: Request, inbox: Inbox, context: Begun): Effect.Effect<never, AiError.AiError> => {
  const { status } = context
  const { limits, log } = ready
  if (status < 400 || status > 599) {
    const because =
      status >= 300 && status < 400 && status !== 304
        ? `the server sends the call elsewhere (HTTP ${status}), which is not followed`
        : `HTTP ${status} is no answer`
    return failed(new Faults.Unreadable({ because }), ready, context)
  }
  const buffers: Array<Buffer> = []
  let size = 0
  const read: Effect.Effect<void> = Effect.suspend(() => {
    for (const buffer of inbox.take()) {
      if (size < limits.maxErrorBytes) buffers.push(buffer.subarray(0, limits.maxErrorBytes - size))
      size += buffer.length
    }
    return !inbox.hasEnded && inbox.failure === undefined && size < limits.maxErrorBytes
      ? Effect.andThen(inbox.wait, read)
      : Effect.void
  })
  return Effect.flatMap(Effect.timeoutOption(read, Exchange.refusalMillis), () => {
    const body = Buffer.concat(buffers).toString("utf8")
    log?.ended(body, "refused")
    return Effect.fail(WireError.ofAnswer({ status, body }, context))
  })
}

/** An answer that is being read. */
class Answer {
  /** Whether all parts were given. */
  isOver = false
  /** Waits a moment for the end of the body behind a complete answer. */
  readonly drain: Effect.Effect<void>
  private readonly inbox: Inbox
  private readonly context: Begun
  private readonly body: AnswerBody
  private readonly streamed: AnswerBytes | undefined
  private readonly gathered: WholeBytes | undefined
  private readonly log: WireLog | undefined
  private failure: AiError.AiError | undefined
  private isSilent = false
  private others = 0
  private finished: { readonly at: number; counted: number | undefined } | undefined

  constructor(ready: Ready, inbox: Inbox, context: Begun) {
    this.inbox = inbox
    this.context = context
    this.log = ready.log
    if (ready.recordsBytes && context.method === "streamText") this.streamed = new AnswerBytes()
    if (ready.recordsBytes && context.method === "generateText") this.gathered = new WholeBytes()
    const requestId = context.headers?.["x-request-id"]
    this.body = new AnswerBody({ tools: ready.tools, limits: ready.limits, provider: ready.provider, requestId })
    const untilEnd: Effect.Effect<void> = Effect.suspend(() => {
      inbox.take()
      return inbox.hasEnded || inbox.failure !== undefined ? Effect.void : Effect.andThen(inbox.wait, untilEnd)
    })
    this.drain = Effect.suspend(() =>
      inbox.hasEnded ? Effect.void : Effect.asVoid(Effect.timeoutOption(untilEnd, drainLimit))
    )
  }

  /** Reads what is there. Gives what to wait for, or a failure, or `undefined` when something was read or all is. */
  read(out: Array<Part>): Effect.Effect<void, AiError.AiError> | undefined {
    if (this.isOver) return undefined
    if (this.failure !== undefined) return Effect.fail(this.failure)
    const before = out.length
    try {
      for (const bytes of this.inbox.take()) {
        this.log?.read(bytes)
        this.streamed?.add(bytes)
        this.gathered?.add(bytes)
        this.body.feed(bytes, out)
      }
      // What it cost comes behind the last of several answers.
      const { others } = this.body.reader
      if (out.length > before || others > this.others) this.finished = undefined
      this.others = others
      if (this.body.isDone || this.inbox.hasEnded || this.isSilent) this.end(out)
      else if (this.inbox.failure !== undefined) {
        if (!this.body.reader.hasFinished) throw this.inbox.failure.error
        this.end(out)
      }
    } catch (error) {
      this.failure = this.failureOf(error)
      this.log?.ended(undefined, this.failure.message)
    }
    this.streamed?.give(out, this.isOver)
    if (out.length > 0 && this.failure !== undefined) return undefined
    if (this.failure !== undefined) return Effect.fail(this.failure)
    return this.isOver ? undefined : this.wait
  }

  /** The parts of a whole answer. */
  whole(parts: ReadonlyArray<Part>): Array<Response.PartEncoded> {
    const whole = WholeParts.of(parts)
    this.gathered?.give(whole)
    return whole
  }

  private get wait(): Effect.Effect<void> {
    const { reader } = this.body
    if (!reader.hasFinished) return this.inbox.wait
    return Effect.flatMap(Monotonic.millis, (now) => {
      this.finished ??= { at: now, counted: undefined }
      if (reader.isCounted) this.finished.counted ??= now
      const { at, counted } = this.finished
      const until = reader.endsWithContent
        ? at + afterContent
        : Math.min(at + afterFinish.uncounted, (counted ?? Infinity) + afterFinish.counted)
      return Effect.map(Effect.timeoutOption(this.inbox.wait, Math.max(0, until - now)), (arrived) => {
        this.isSilent = arrived._tag === "None" || until <= now
      })
    })
  }

  /** What a server says instead of an answer cost nothing; what it said before, and half an answer, did. */
  private failureOf(error: unknown): AiError.AiError {
    const failure = WireError.of(error, this.context)
    const { cost, hasSaid } = this.body.reader
    return cost !== undefined || hasSaid || error instanceof Faults.Cut
      ? Failure.afterWork(failure, { usage: cost })
      : failure
  }

  private end(out: Array<Part>): void {
    const { headers, status } = this.context
    this.body.end(out, { status, headers: headers ?? {} })
    this.isOver = true
    this.log?.ended(undefined, "answered")
  }
}
