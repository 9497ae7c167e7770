/**
 * One HTTP request and its answer, within bounds: no redirects, a limit on the bytes that come back, closed at any stage.
 */
import type { Dispatcher } from "undici"
import * as Connections from "./Connections.ts"
import * as ContentCoding from "./ContentCoding.ts"
import * as ShownError from "../../core/ShownError.ts"

/** A request that is ready to be sent. */
export interface Request {
  /** The server: `https://api.openai.com`. */
  readonly origin: string
  /** The path with its query. */
  readonly path: string
  readonly method: string
  /** Names and values in turn. */
  readonly headers: Array<string>
  readonly body: string | Uint8Array | null
  readonly proxy: URL | undefined
}

/** Response headers by their names in lower case. */
export type Headers = Readonly<Record<string, string | Array<string> | undefined>>

/** Whom the answer is told, one after the other: `head`, `data` as often as bytes come, and then `end` or `fail`. */
export interface Sink {
  readonly head: (status: number, headers: Headers, reason: string) => void
  /** Bytes of the body, unpacked. */
  readonly data: (bytes: Buffer) => void
  readonly end: () => void
  readonly fail: (error: unknown) => void
}

/** A request that is on its way. */
export interface Exchange {
  /** Stops reading until {@link resume}. What is on its way still comes. */
  readonly pause: () => void
  readonly resume: () => void
  /** Closes the connection, unless the answer is complete. The sink is told nothing more. */
  readonly close: () => void
}

/**
 * For how many milliseconds the body of an answer that says no is waited for, from its head on. The head has said no already, and
 * when to come back; a body that stalls must not hide that.
 */
export const refusalMillis = 1_000

/** The answer is larger than it may be. */
export class TooLarge extends ShownError.DataError("TooLarge")<{ readonly atMostBytes: number }> {
  override get message(): string {
    return `the answer is larger than ${this.atMostBytes} bytes`
  }
}

/** The answer is packed in a way that nobody asked for. */
export class UnknownCoding extends ShownError.DataError("UnknownCoding")<{ readonly coding: string }> {
  override get message(): string {
    return `the answer has the unknown content-encoding ${JSON.stringify(this.coding.slice(0, 64))}`
  }
}

/** The answer is not packed as its `content-encoding` says, or was spoilt on its way. */
export class Miscoded extends ShownError.DataError("Miscoded")<{ readonly coding: string; readonly because: string }> {
  override get message(): string {
    return `the answer is not what its content-encoding ${JSON.stringify(this.coding)} says, or was spoilt: ${this.because}`
  }
}

/** The answer breaks a rule of HTTP that undici's parser lets pass, and undici itself does not. */
export class NoHttp extends ShownError.DataError("NoHttp")<{ readonly because: string }> {
  override get message(): string {
    return `the answer is no HTTP: ${this.because}`
  }
}

/** Sends a request. Fails through the sink when the answer, unpacked, has more than `maxBytes`. */
export const send = (request: Request, sink: Sink, maxBytes: number): Exchange => {
  const running = new Running(sink, maxBytes, Connections.take(request.origin, request.proxy))
  running.start(request)
  return running
}

const withoutBody = new Set([204, 205, 304])

class Running implements Exchange, Dispatcher.DispatchHandler {
  private readonly sink: Sink
  private readonly connection: Connections.Connection
  private readonly maxBytes: number
  private controller: Dispatcher.DispatchController | undefined
  private unpacker: ContentCoding.Unpacker | undefined
  /** Whether the body is packed in a way that nobody here knows. It is left out. */
  private isIllegible = false
  private received = 0
  private unpackedHalf = 0
  private closed = false
  private isComplete = false

  constructor(sink: Sink, maxBytes: number, connection: Connections.Connection) {
    this.sink = sink
    this.maxBytes = maxBytes
    this.connection = connection
  }

  start({ body, headers, method, path }: Request): void {
    try {
      this.connection.dispatch({ path, method, headers, body }, this)
    } catch (error) {
      this.fail(error)
    }
  }

  pause(): void {
    if (this.unpacker === undefined) this.controller?.pause()
    else this.unpacker.pause()
  }

  resume(): void {
    if (this.unpacker === undefined) this.controller?.resume()
    else this.unpacker.resume()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.unpacker?.close()
    if (!this.isComplete) this.connection.close()
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
  }

  onResponseStart(_: unknown, status: number, headers: Headers, reason?: string): void {
    if (this.closed || status < 200) return
    const codings = withoutBody.has(status) ? [] : codingsOf(one(headers["content-encoding"]))
    if (codings.length > 0) {
      const coding = codings.join(", ")
      this.unpacker = ContentCoding.unpacker(codings, {
        data: (bytes) => this.give(bytes),
        end: () => this.endOf(),
        fail: (error) => this.fail(isCut(error) ? error : new Miscoded({ coding, because: error.message })),
        onRoom: () => this.controller?.resume(),
        between: (bytes) => this.count(bytes)
      })
      // A refusal says what it says by its status and its headers.
      if (this.unpacker === undefined && status < 400) return this.fail(new UnknownCoding({ coding }))
      this.isIllegible = this.unpacker === undefined
    }
    this.sink.head(status, headers, reason ?? "")
  }

  onResponseData(_: unknown, bytes: Buffer): void {
    if (this.closed || this.isIllegible) return
    if (this.unpacker === undefined) this.give(bytes)
    else if (!this.unpacker.write(bytes)) this.controller?.pause()
  }

  onResponseEnd(): void {
    this.isComplete = true
    this.connection.release()
    if (this.closed) return
    if (this.unpacker === undefined) this.endOf()
    else this.unpacker.end()
  }

  onResponseError(_: unknown, error: Error): void {
    const because = brokenRule(error)
    this.fail(because === undefined ? error : new NoHttp({ because }))
  }

  private give(bytes: Buffer): void {
    if (this.closed) return
    this.received += bytes.length
    if (this.received > this.maxBytes) return this.fail(new TooLarge({ atMostBytes: this.maxBytes }))
    this.sink.data(bytes)
  }

  /** Counts what is unpacked once and still packed. */
  private count(bytes: Buffer): void {
    this.unpackedHalf += bytes.length
    if (this.unpackedHalf > this.maxBytes) this.fail(new TooLarge({ atMostBytes: this.maxBytes }))
  }

  private endOf(): void {
    if (this.closed) return
    this.closed = true
    this.sink.end()
  }

  private fail(error: unknown): void {
    if (this.closed) return
    this.close()
    this.sink.fail(error)
  }
}

/** What of HTTP an answer breaks, where undici says so in words of its own. */
const brokenRule = (error: Error): string | undefined => {
  if ("code" in error && error.code === "ERR_ASSERTION") return "it has a status that no answer can have here"
  // So undici calls what stands in front of an answer and was not asked for.
  return error.message === "bad response" ? "it begins with 100 Continue, which was not asked for" : undefined
}

/** Packed data that ends too early was cut, and not packed wrongly. */
const isCut = (error: Error): boolean => "code" in error && error.code === "Z_BUF_ERROR"

/** What a body is packed in, one after the other. Some servers name what packs nothing, or a character set. */
const codingsOf = (value: string | undefined): ReadonlyArray<string> =>
  value?.split(",").flatMap((each) => (packsNothing.has(each.trim().toLowerCase()) ? [] : [each.trim()])) ?? []

const packsNothing = new Set(["", "identity", "none", "utf-8", "utf8"])

/** The value of a header that should have only one. */
const one = (value: Headers[string]): string | undefined => (Array.isArray(value) ? value.join(", ") : value)
