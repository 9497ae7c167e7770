/**
 * A `fetch` whose abort closes the connection at once, also while it is still being made.
 *
 * Node's own `fetch` drops an aborted request, but a connection on which it has not yet been sent lives on until it is
 * made or its timeout of 10 seconds has passed. Give this one to an AI SDK provider, and interrupting a call closes its
 * socket at every stage.
 *
 * **Example**
 *
 * ```ts run
 * import { createOpenAI } from "@ai-sdk/openai"
 * import { AiSdk, Fetch } from "holdfast/provider"
 *
 * const openai = createOpenAI({ apiKey: "sk-…", fetch: Fetch.fetch })
 * AiSdk.provider(openai("gpt-5-mini")).name // => "openai"
 * ```
 */
import { ByteLengthQueuingStrategy, ReadableStream } from "node:stream/web"
import { Predicate } from "effect"
import * as OptionCheck from "../core/OptionCheck.ts"
import { StreamedBody } from "./fetch/StreamedBody.ts"
import * as Exchange from "./http/Exchange.ts"
import * as HttpUrl from "./http/HttpUrl.ts"
import * as Proxy from "./http/Proxy.ts"
import * as ShownError from "../core/ShownError.ts"

export interface Options {
  /** Most bytes of one answer, unpacked. Reading further fails. Default 64 MiB. */
  readonly maxBytes?: number | undefined
  /**
   * The proxy to go through, http or https. Default: as the environment says (`HTTPS_PROXY`, `NO_PROXY`, …); a call for which
   * it names another kind, such as socks, fails with a `RangeError`. `false`: none.
   */
  readonly proxy?: URL | false | undefined
}

export const defaults = { maxBytes: 64 * 2 ** 20 } as const satisfies Options

/** An answer that `fetch` has no way to give: its status is none. */
export class UnknownStatus extends ShownError.DataError("UnknownStatus")<{ readonly status: number }> {
  override get message(): string {
    return `the server answered with the status ${this.status}, which HTTP does not know`
  }
}

/**
 * Makes a `fetch` with limits of its own. Throws a `RangeError` for options that make no sense.
 *
 * The body of the request is sent whole; the answer is streamed. Fails with Node's own errors (`ECONNREFUSED`, …), or with
 * the signal's reason when aborted. The body of an answer that is too large fails where it is read.
 *
 * **Gotchas**
 *
 * - Redirects are not followed: their answer is given as it is, so that no key travels to another server.
 * - Compressed answers are unpacked, but not asked for.
 * - Where a request asks for a stream (`"stream": true`), a page and an error fail where the body is read, and a whole chat
 *   completion is given as the stream that was asked for. A stream is complete at `[DONE]`, or where a Response says that it is
 *   over, although its connection stays open: that is closed then.
 * - The body of a refusal (status 400 and above) ends a second after its head, with what came of it: one that stalls would hide
 *   what the head says. Otherwise there is no time limit of its own; that is what `Timeout` is for.
 */
export const make = (options: Options = {}): typeof globalThis.fetch => {
  const check = OptionCheck.of("Fetch")
  check.fields(options, { maxBytes: true, proxy: true })
  const maxBytes = check.whole("maxBytes", options.maxBytes ?? defaults.maxBytes, 1)
  const { proxy } = options
  if (proxy !== undefined && proxy !== false) {
    if (!(proxy instanceof URL)) check.reject("proxy", "an http or https URL or false", proxy)
    const fault = HttpUrl.faultOf(proxy)
    if (fault !== undefined) check.refuse("proxy", "an http or https URL or false", fault)
  }
  return (input, init) => {
    const request = new Request(input, init)
    return request.arrayBuffer().then((body) => send(request, Buffer.from(body), maxBytes, options.proxy))
  }
}

/** Sends a request as {@link make} says, with the default limits. */
export const fetch: typeof globalThis.fetch = make()

const send = (request: Request, body: Buffer, maxBytes: number, proxy: URL | false | undefined): Promise<Response> => {
  const { promise, reject, resolve } = Promise.withResolvers<Response>()
  const url = new URL(request.url)
  const through = proxy === undefined ? Proxy.ofEnvironment(url) : proxy === false ? undefined : proxy
  const headers = new Map([["accept-encoding", "identity"], ...request.headers])
  let reader: ReadableStreamDefaultController<Uint8Array> | undefined
  let streamed: StreamedBody | undefined
  let isComplete = false
  let hasEnded = false
  let closing: NodeJS.Timeout | undefined
  const sent: { exchange?: Exchange.Exchange } = {}
  const over = () => {
    clearTimeout(closing)
    request.signal.removeEventListener("abort", abort)
  }
  const fail = (error: unknown) => {
    over()
    sent.exchange?.close()
    if (reader === undefined) reject(error)
    else reader.error(error)
  }
  const abort = () => fail(request.signal.reason)
  if (request.signal.aborted) return Promise.reject(request.signal.reason)
  request.signal.addEventListener("abort", abort)
  const data = (bytes: Uint8Array) => {
    reader?.enqueue(bytes)
    if ((reader?.desiredSize ?? 0) <= 0) sent.exchange?.pause()
  }
  const complete = () => {
    over()
    isComplete = true
    reader?.close()
    if (hasEnded) return
    // The connection can be used again when its answer ends in a moment.
    sent.exchange?.resume()
    // A fetch has no fiber that could wait.
    // @effect-diagnostics-next-line globalTimers:off
    closing = setTimeout(() => sent.exchange?.close(), drainMillis).unref()
  }
  const sink: Exchange.Sink = {
    head: (status, headers, reason) => {
      if (status > 599) return fail(new UnknownStatus({ status }))
      const answer = new ReadableStream<Uint8Array>(
        {
          start: (controller) => {
            reader = controller
          },
          pull: () => sent.exchange?.resume(),
          cancel: () => {
            over()
            sent.exchange?.close()
          }
        },
        new ByteLengthQueuingStrategy({ highWaterMark: 64 * 1_024 })
      )
      const response = toResponse(answer, status, headers, reason)
      if (status >= 400) {
        // @effect-diagnostics-next-line globalTimers:off
        closing = setTimeout(() => {
          complete()
          sent.exchange?.close()
        }, Exchange.refusalMillis)
      }
      if (status === 200 && asksForStream(body))
        streamed = new StreamedBody({ data, complete, fail }, { status, headers: Object.fromEntries(response.headers) })
      resolve(response)
    },
    data: (bytes) => {
      if (streamed === undefined) data(bytes)
      else streamed.data(bytes)
    },
    end: () => {
      hasEnded = true
      clearTimeout(closing)
      if (isComplete) return
      if (streamed !== undefined) return streamed.end()
      over()
      reader?.close()
    },
    fail: (error) => {
      if (!isComplete) fail(error)
    }
  }
  const route = {
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
    method: request.method,
    headers: [...headers].flat(),
    body: body.length === 0 ? null : body,
    proxy: through
  }
  sent.exchange = Exchange.send(route, sink, maxBytes)
  return promise
}

/** For how long the end of a connection is waited for behind a complete answer. */
const drainMillis = 100

/** Whether the body of a request says so. No text in it can: in JSON, its quotes are escaped. */
const asksForStream = (body: Buffer): boolean => {
  if (!body.includes('"stream"')) return false
  try {
    const request: unknown = JSON.parse(body.toString("utf8"))
    return Predicate.hasProperty(request, "stream") && request.stream === true
  } catch {
    return false
  }
}

const toResponse = (
  answer: ReadableStream<Uint8Array>,
  status: number,
  received: Exchange.Headers,
  reason: string
): Response => {
  const headers = new Headers()
  for (const [name, values] of Object.entries(received)) {
    for (const value of [values ?? []].flat()) headers.append(name, value)
  }
  const body = withoutBody.has(status) ? null : answer
  return new Response(body, { status, statusText: reason.replace(/[^\t\x20-\x7e\x80-\xff]/g, ""), headers })
}

const withoutBody = new Set([204, 205, 304])
