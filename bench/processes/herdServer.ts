/**
 * A model behind a token bucket: `rate` requests a second, at most `burst` at once, `latency-ms` for an answer. What is
 * too much gets a 429 with `retry-after: 1` at once.
 *
 * With `--headers` every answer tells the limit in OpenAI's headers. After `--drop-after` answers the rate and the burst
 * are a tenth. Requests with the key `warm` are answered and not counted. `GET /counts` gives what was counted, and
 * `POST /reset` forgets it and fills the bucket.
 */
import { createServer } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { completion } from "../../test/sockets/openaiWire.ts"

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "20" },
    burst: { type: "string", default: "20" },
    "latency-ms": { type: "string", default: "20" },
    headers: { type: "boolean", default: false },
    "drop-after": { type: "string", default: "Infinity" }
  }
})

const fresh = () => ({
  rate: Number(values.rate),
  burst: Number(values.burst),
  level: Number(values.burst),
  at: performance.now(),
  arrivals: new Array<number>(),
  accepted: new Array<number>()
})
let state = fresh()

const answer = completion("ok")

const admit = (): boolean => {
  const now = performance.now()
  state.arrivals.push(now)
  state.level = Math.min(state.burst, state.level + ((now - state.at) * state.rate) / 1_000)
  state.at = now
  if (state.level < 1) return false
  state.level--
  state.accepted.push(now)
  if (state.accepted.length === Number(values["drop-after"])) {
    state.rate /= 10
    state.burst /= 10
    state.level = Math.min(state.level, state.burst)
  }
  return true
}

const told = () =>
  values.headers
    ? {
        "x-ratelimit-limit-requests": String(state.burst),
        "x-ratelimit-remaining-requests": String(Math.floor(state.level)),
        "x-ratelimit-reset-requests": `${Math.ceil(((state.burst - state.level) * 1_000) / state.rate)}ms`
      }
    : {}

/** The most requests that arrived within any 20 milliseconds. */
const worstBurst = (arrivals: ReadonlyArray<number>): number => {
  let from = 0
  return arrivals.reduce((most, at, index) => {
    while (at - (arrivals[from] ?? at) > 20) from++
    return Math.max(most, index - from + 1)
  }, 0)
}

const server = createServer((request, response) => {
  const json = (body: unknown) => response.setHeader("content-type", "application/json").end(JSON.stringify(body))
  if (request.url === "/counts") {
    const { accepted, arrivals } = state
    const makespan = ((accepted.at(-1) ?? 0) - (arrivals[0] ?? 0)) / 1_000
    json({ requests: arrivals.length, accepted: accepted.length, worstBurst: worstBurst(arrivals), makespan })
    return
  }
  if (request.url === "/reset") {
    state = fresh()
    json({})
    return
  }
  request.resume()
  request.once("end", () => {
    const isAdmitted = request.headers.authorization === "Bearer warm" || admit()
    const headers = { "content-type": "application/json", ...told() }
    if (isAdmitted) void sleep(Number(values["latency-ms"])).then(() => response.writeHead(200, headers).end(answer))
    else {
      response
        .writeHead(429, { ...headers, "retry-after": "1" })
        .end('{"error":{"message":"slow down","type":"requests"}}')
    }
  })
})
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  console.log(JSON.stringify({ url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}` }))
})
process.stdin.on("end", () => process.exit(0)).resume()
