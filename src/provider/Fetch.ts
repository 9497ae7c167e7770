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
import * as http from "node:http"
import * as https from "node:https"
import { Readable } from "node:stream"

/**
 * Sends a request over `node:http` or `node:https`, with their global agents, which keep connections alive.
 *
 * The body of the request is sent whole; the answer is streamed. Fails with Node's own errors (`ECONNREFUSED`, …), or with
 * the signal's reason when aborted.
 *
 * **Gotchas**
 *
 * - Redirects are not followed, and compressed answers are neither asked for nor unpacked.
 * - There is no time limit of its own; that is what `Timeout` is for.
 */
export const fetch: typeof globalThis.fetch = (input, init) => {
  const request = new Request(input, init)
  return request.arrayBuffer().then((body) => send(request, Buffer.from(body)))
}

const send = (request: Request, body: Buffer): Promise<Response> => {
  const { promise, reject, resolve } = Promise.withResolvers<Response>()
  const url = new URL(request.url)
  const sent = (url.protocol === "https:" ? https : http).request(url, {
    method: request.method,
    headers: { "accept-encoding": "identity", ...Object.fromEntries(request.headers) },
    signal: request.signal
  })
  sent.on("error", (error) => reject(request.signal.aborted ? request.signal.reason : error))
  sent.once("response", (answer) => resolve(toResponse(answer)))
  sent.end(body)
  return promise
}

const toResponse = (answer: http.IncomingMessage): Response => {
  const status = answer.statusCode ?? 0
  const headers = new Headers()
  for (const [name, values] of Object.entries(answer.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value)
  }
  const body = withoutBody.has(status) ? null : Readable.toWeb(answer)
  return new Response(body, { status, statusText: answer.statusMessage ?? "", headers })
}

const withoutBody = new Set([204, 205, 304])
