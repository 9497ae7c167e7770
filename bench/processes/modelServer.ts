/**
 * A model behind a real HTTP server that streams chat completions in OpenAI's format, for benches that count what a
 * server sees: `{"url":…}` on its first line, `GET /seen` for the counts, the end of its standard input ends it.
 *
 * `--first-ms` until the first token; of a share `--slow-share` of the requests, drawn with `--seed`, it is `--slow-ms`.
 */
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { chunk, done } from "../../test/sockets/openaiWire.ts"

export interface Seen {
  readonly requests: number
  readonly open: number
  /** Tokens it has sent. */
  readonly tokens: number
  /** When a connection was last closed before its answer was complete: milliseconds since 1970. */
  readonly lastCutAtMillis: number
}

const number = (value: string | undefined, otherwise: number) => (value === undefined ? otherwise : Number(value))
const option = { type: "string" } as const
const { values } = parseArgs({
  options: {
    tokens: option,
    "token-ms": option,
    "first-ms": option,
    "slow-ms": option,
    "slow-share": option,
    seed: option
  }
})
const tokens = number(values.tokens, 10)
const tokenMillis = number(values["token-ms"], 0)
const firstMillis = number(values["first-ms"], 0)
const slowMillis = number(values["slow-ms"], 0)
const slowShare = number(values["slow-share"], 0)
let state = number(values.seed, 1)

// Mulberry32, so that a run can be repeated.
const draw = (): number => {
  state = (state + 0x6d2b79f5) | 0
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
}

const seen = { requests: 0, open: 0, tokens: 0, lastCutAtMillis: 0 }

const tokenEvent = chunk({ content: "kelp " })

const server = createServer(async (request, response) => {
  request.resume()
  await once(request, "end")
  if (request.url === "/seen") return void response.end(JSON.stringify(seen))
  seen.requests++
  seen.open++
  response.on("close", () => {
    seen.open--
    if (!response.writableFinished) seen.lastCutAtMillis = performance.timeOrigin + performance.now()
  })
  response.writeHead(200, { "content-type": "text/event-stream" })
  response.write(chunk({ role: "assistant", content: "" }))
  await sleep(draw() < slowShare ? slowMillis : firstMillis)
  for (let sent = 0; sent < tokens && !response.destroyed; sent++) {
    response.write(tokenEvent)
    seen.tokens++
    if (tokenMillis > 0) await sleep(tokenMillis)
  }
  response.end(done)
})
server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () => {
  const { port } = server.address() as AddressInfo
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}` }))
})
process.stdin.resume().on("end", () => process.exit(0))
