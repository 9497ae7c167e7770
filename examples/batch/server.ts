/**
 * The offline model: a real HTTP server that answers questions about Debian packages, with latency and faults.
 *
 * Run as its own process, it prints one JSON line, `{"url":"http://127.0.0.1:…"}`, and ends when its standard input
 * closes. The faults are aimock's own: a 500, a 429 with `Retry-After`, and a connection cut before the answer.
 */
import { LLMock, type ChatCompletionRequest } from "@copilotkit/aimock"
import { type OutgoingHttpHeaders, ServerResponse } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: {
    "latency-ms": { type: "string", default: "400" },
    "rate-500": { type: "string", default: "0" },
    "rate-429": { type: "string", default: "0" },
    "rate-cut": { type: "string", default: "0" },
    seed: { type: "string", default: "1" }
  }
})

/** Makes the chance of faults and delays repeatable: aimock draws from `Math.random`. */
const seeded = (seed: number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
Math.random = seeded(Number(values.seed))

/** Draws a delay as models have it: half are near the median, one in a hundred takes three times as long. */
const drawLatency = (medianMillis: number): number => {
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random())
  return Math.min(medianMillis * Math.exp(0.45 * normal), medianMillis * 5)
}

const sections: ReadonlyArray<readonly [section: string, words: RegExp]> = [
  ["games", /\b(?:game|puzzle|arcade|player|chess)\b/iu],
  ["python", /\bpython\b/iu],
  ["perl", /\bperl\b/iu],
  ["ruby", /\bruby\b/iu],
  ["javascript", /\b(?:node\.?js|javascript)\b/iu],
  ["haskell", /\bhaskell\b/iu],
  ["gnu-r", /\b(?:cran|bioconductor|gnu r)\b/iu],
  ["golang", /\bgolang|\bgo (?:package|library)\b/iu],
  ["science", /\b(?:genom|protein|sequence|astronom|physics|chemi|simulation|scientific)/iu],
  ["sound", /\b(?:audio|sound|music|midi|synth)/iu],
  ["video", /\b(?:video|movie|stream)/iu],
  ["graphics", /\b(?:image|graphic|photo|3d|opengl)/iu],
  ["mail", /\b(?:mail|imap|smtp)/iu],
  ["web", /\b(?:web|http|browser|html|css)\b/iu],
  ["database", /\b(?:database|sql|mysql|postgresql)\b/iu],
  ["net", /\b(?:network|dns|tcp|irc|vpn|protocol)\b/iu],
  ["admin", /\b(?:kernel|boot|daemon|system|cluster)\b/iu],
  ["editors", /\b(?:emacs|vim|editor)\b/iu],
  ["libs", /\blibrar(?:y|ies)\b/iu]
]

/** Answers as asked, from the words of the request: a likely section, and the first sentence of the description. */
const answer = (request: ChatCompletionRequest): string => {
  const question = request.messages.findLast((message) => message.role === "user")?.content
  const text = typeof question === "string" ? question : ""
  const description = text.slice(text.indexOf("\n\n") + 2)
  const section = sections.find(([, words]) => words.test(text))?.[0] ?? "misc"
  const sentence = /^.*?[.!?](?=\s|$)/su.exec(description)?.[0] ?? description
  return `${section} - ${sentence}`
}

// With a 429 aimock tells a limit of 60 requests a minute, whatever it takes. A client that keeps what it is told would be slow for nothing.
const write = ServerResponse.prototype.writeHead
ServerResponse.prototype.writeHead = function (this: ServerResponse, status: number, headers?: unknown) {
  const told = Object.entries(Object(headers)).filter(([name]) => !name.startsWith("x-ratelimit-"))
  return write.call(this, status, Object.fromEntries(told) as OutgoingHttpHeaders)
}

const mock = new LLMock({
  host: "127.0.0.1",
  port: 0,
  metrics: true,
  journalMaxEntries: 10,
  chaos: {
    dropRate: Number(values["rate-500"]),
    rateLimitRate: Number(values["rate-429"]),
    disconnectRate: Number(values["rate-cut"])
  }
})
mock.on({}, async (request) => {
  const latencyMillis = Number(values["latency-ms"])
  if (latencyMillis > 0) await sleep(drawLatency(latencyMillis))
  return { content: answer(request) }
})
await mock.start()
process.stdout.write(`${JSON.stringify({ url: mock.url })}\n`)

// Ctrl-C in a terminal reaches every process of it; the server has to stay for the requests in flight.
process.on("SIGINT", () => undefined)
process.stdin.resume()
process.stdin.once("end", () => process.exit(0))
