/**
 * Calls a server that misbehaves in most of its answers, for minutes, and shows that nothing of it stays: `npm run soak:hostile --
 * --minutes 3`. In the end live fibers, handles and sockets must be what they were, and the heap must not have grown with the
 * calls. Exits with 1 when one of them is not. On a busy machine it takes as long as the calls take by which the heap is judged.
 */
import { createServer, type ServerResponse } from "node:http"
import { parseArgs } from "node:util"
import { setFlagsFromString } from "node:v8"
import { Effect, Exit, Layer, Logger, Metric, Stream } from "effect"
import { LanguageModel } from "effect/ai"
import { Model } from "holdfast/model"
import { Retry, Timeout } from "holdfast/policy"
import { ChatWire } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import { fit } from "../../bench/measure/slope.ts"
import { Chance } from "../../src/testing/seed/Chance.ts"
import { input } from "../../test/provider/chat-wire/fuzzing.ts"
import { chunk, completion, done } from "../../test/sockets/openaiWire.ts"

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "3" }, seed: { type: "string", default: "1" } }
})
const { gc } = globalThis
if (gc === undefined) throw new Error("run with --expose-gc")
Error.stackTraceLimit = 0
// Code that was not run for a while is thrown away: megabytes at once, which would hide a leak.
setFlagsFromString("--no-flush-bytecode")

const chance = new Chance(Number(values.seed))
const concurrency = 10
/** What the heap may grow by, in bytes for each call: far below what a forgotten fiber, answer or error takes. */
const mayGrow = 50
/** Calls that fill histories and warm the compiler, and those after them by which the heap is judged, at least. */
const [warmUp, judged] = [3_000, 3_000]

const json = { "content-type": "application/json" }
const hostile: ReadonlyArray<(response: ServerResponse) => void> = [
  (response) => void response.writeHead(200, json).end(Buffer.concat(input(chance))),
  (response) => void response.writeHead(200, { "content-type": "text/event-stream" }).end(Buffer.concat(input(chance))),
  (response) => void response.writeHead(200).write(chunk({ content: "kelp" }), () => response.destroy()),
  (response) => void response.destroy(),
  (response) =>
    void response.writeHead(chance.oneOf([400, 401, 404, 429, 500, 503, 599])).end("x".repeat(chance.below(2 ** 17))),
  (response) =>
    void response.writeHead(429, { "retry-after": "0.01", "x-ratelimit-remaining-requests": "0" }).end("{}"),
  (response) => void response.writeHead(chance.oneOf([204, 302, 304, 600])).end(),
  (response) => void response.writeHead(200, { ...json, "content-encoding": "gzip" }).end("no gzip"),
  (response) => void response.writeHead(200, json).end("[".repeat(2 ** 16)),
  (response) => void response.writeHead(200).write(chunk({ content: "kelp" })), // and then it is silent
  () => {} // and never says a word
]

const server = createServer((asked, response) => {
  let body = ""
  asked.on("data", (bytes: Buffer) => (body += bytes.toString()))
  asked.on("end", () => {
    const isGood = chance.below(3) === 0
    if (!isGood) return hostile[chance.below(hostile.length)]?.(response)
    response.end(body.includes('"stream":true') ? chunk({ content: "kelp" }) + done : completion("kelp"))
  })
})
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
const address = server.address()
const port = typeof address === "object" ? (address?.port ?? 0) : 0

let liveFibers = 0
const counting = Effect.provideService(Metric.FiberRuntimeMetrics, {
  recordFiberStart: () => void liveFibers++,
  recordFiberEnd: () => void liveFibers--
})
const handles = () => {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  for (const fleeting of ["Immediate", "Timeout"]) counts.delete(fleeting)
  return JSON.stringify(Object.fromEntries([...counts].toSorted()))
}
const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(2)
const sockets = () => new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)))

const problems: Array<string> = []
process.on("unhandledRejection", (error) => problems.push(`nobody heard of ${String(error)}`))
const counts = { answered: 0, failed: 0, died: 0 }
const heap: Array<readonly [calls: number, bytes: number]> = []

const provider = ChatWire.provider({ baseUrl: `http://127.0.0.1:${port}/v1`, model: "m", apiKey: "k", proxy: false })
const layer = Model.layer({
  provider,
  policies: [Retry.transient({ times: 1, base: "1 millis", cap: "10 millis" }), Timeout.perAttempt("1 second")]
}).pipe(Layer.provideMerge(Supervisor.layer({ retain: 100, eventHistory: 256 })))

const one = Effect.suspend(() => {
  const call =
    chance.below(2) === 0
      ? Effect.asVoid(LanguageModel.generateText({ prompt: "kelp" }))
      : Stream.runDrain(LanguageModel.streamText({ prompt: "kelp" }))
  return Effect.map(Effect.exit(chance.below(20) === 0 ? Effect.timeoutOption(call, 1) : call), (exit) => {
    if (Exit.isSuccess(exit)) counts.answered++
    else if (exit.cause.reasons.every(({ _tag }) => _tag === "Fail")) counts.failed++
    else counts.died++
  })
})

const before = { handles: handles(), fibers: 0 }
const program = Effect.gen(function* () {
  const end = performance.now() + Number(values.minutes) * 60_000
  let calls = 0
  while (performance.now() < end || calls < warmUp + judged) {
    yield* Effect.replicateEffect(one, 20 * concurrency, { concurrency, discard: true })
    calls += 20 * concurrency
    // Buffers are given back a moment after their objects.
    for (let round = 0; round < 3; round++) {
      yield* Effect.sleep(50)
      gc()
    }
    const { arrayBuffers, heapUsed } = process.memoryUsage()
    if (calls > warmUp) heap.push([calls, heapUsed + arrayBuffers])
    console.log(
      `${calls} calls, ${JSON.stringify(counts)}, heap ${megabytes(heapUsed)} MB, buffers ${megabytes(arrayBuffers)} MB, ${yield* Effect.promise(sockets)} sockets`
    )
  }
  return calls
}).pipe(Effect.provide(layer), counting, Effect.provide(Logger.layer([])))

const calls = await Effect.runPromise(program)
// What was given up a moment ago is being closed; what waits for another call is the server's to close.
for (let tries = 0; tries < 50 && (await sockets()) > 0; tries++) {
  server.closeIdleConnections()
  await new Promise((resolve) => setTimeout(resolve, 100))
}
const { error, slope } = fit(heap)
const left = { fibers: liveFibers, handles: handles(), sockets: await sockets(), died: counts.died }
console.log(
  `${calls} calls; heap slope ${slope.toFixed(1)} ± ${error.toFixed(1)} bytes a call; left: ${JSON.stringify(left)}`
)
// Chance alone takes the slope so far in one run of forty.
const atLeast = slope - 2 * error
if (atLeast > mayGrow)
  problems.push(`the heap grows by ${atLeast.toFixed(1)} bytes a call at least, more than ${mayGrow}`)
if (left.fibers !== before.fibers) problems.push(`${left.fibers} fibers are left`)
if (left.handles !== before.handles) problems.push(`handles are ${left.handles}, and were ${before.handles}`)
if (left.sockets > 0) problems.push(`${left.sockets} sockets are left`)
if (left.died > 0) problems.push(`${left.died} calls died`)
for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 ? 0 : 1
server.close()
