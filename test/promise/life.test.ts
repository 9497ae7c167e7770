/** What a client means to its process, seen from outside: whether it ends, by what, and what it has said by then. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"

const root = join(import.meta.dirname, "../..")

/** Runs a module against the sources. */
const run = async (source: string) => {
  const head = `
import { setTimeout as sleep } from "node:timers/promises"
import { Client, fakeModel } from "holdfast/promise"
process.on("unhandledRejection", (error) => console.log("unhandled", String(error)))
const answering = fakeModel("one two three")
const failing = fakeModel({ error: "invalid_request" })
const late = fakeModel({ text: "late", delay: "1 hour" })
const endless = ({ signal }) => sleep(3_600_000, undefined, { signal })
`
  const args = ["--conditions=holdfast-source", "--input-type=module", "--eval", head + source]
  const running = promisify(execFile)(process.execPath, args, { cwd: root, timeout: 20_000, killSignal: "SIGKILL" })
  running.child.stdin?.end()
  return running.then(
    ({ stdout }) => ({ stdout: stdout.trim(), signal: null }),
    ({ signal, stdout }: { readonly stdout: string; readonly signal: string | null }) => ({
      stdout: stdout.trim(),
      signal
    })
  )
}

describe.concurrent("a process with a client", { timeout: 30_000 }, () => {
  it("ends by itself when the client is idle, used or not", async () => {
    const { signal, stdout } = await run(`
Client.make({ model: answering })
const client = Client.make({ model: answering, pipeline: { cache: { timeToLive: "1 hour" } } })
console.log((await client.generate("?")).text)
for await (const text of client.stream("!")) console.log(text)
await client.submit(() => 1)
`)
    assert.deepStrictEqual([stdout, signal], ["one two three\none\n two\n three", null])
  })

  it("hears of no rejection that nobody handles, whatever is left unawaited", async () => {
    const { signal, stdout } = await run(`
const client = Client.make({ models: { answering, failing, late }, log: false })
const aborted = AbortSignal.abort()
for (const options of [{ model: "failing" }, { model: "gone" }, { model: "late", timeout: 5 }, { signal: aborted }, { model: "failing", idempotencyKey: "k" }]) {
  void client.generate("?", options)
  void client.object({}, "?", options)
  try {
    const stream = client.stream("?", options)
    void stream.response
    void stream.usage
    void stream[Symbol.asyncIterator]().next()
    void stream.parts[Symbol.asyncIterator]().next()
  } catch {}
}
void client.submit(() => Promise.reject(new Error("mine")))
void client.submit(7)
void client.run(() => Promise.reject(new Error("mine")))
void client.run(endless, { signal: aborted })
void client.run(async ({ run, submit }) => { void run(() => Promise.reject(new Error("mine"))); void submit(7) })
void client.job("gone")
void client.jobs({ state: "odd" })
void client.waitAll({}, { timeout: 1 })
void client.define("a", () => 1, { "~standard": { validate: () => ({ issues: [{ message: "no" }] }) } }).submit(1)
void client.every("soon", () => 1, { name: "x" })
const job = await client.submit(endless)
void job.result()
void job.result({ timeout: 1 })
void job.result({ signal: aborted })
await sleep(50)
await client.close()
void client.generate("?")
void client.health()
void job.status()
await sleep(5)
console.log("nothing else was said")
`)
    assert.deepStrictEqual([stdout, signal], ["nothing else was said", null])
  })

  it("comes to rest on a signal, says what became of each job, and ends by that signal", async () => {
    const { signal, stdout } = await run(`
const client = Client.make({ log: false })
client.closeOnSignals({ deadline: 200, onDrained: ({ jobs }) => console.log(jobs.map(({ name, outcome }) => name + " " + outcome).join()) })
await new Promise((started) =>
  client.submit(() => new Promise((done) => (started(), process.once("SIGTERM", done))), { name: "short" })
)
await new Promise((started) =>
  client.submit((tools) => (started(), endless(tools).finally(() => console.log("cleaned up"))), { name: "long" })
)
process.kill(process.pid, "SIGTERM")
`)
    assert.deepStrictEqual([stdout, signal], ["cleaned up\nshort completed,long cancelled", "SIGTERM"])
  })

  it("ends by a signal although a job ignores its end", async () => {
    const { signal, stdout } = await run(`
const client = Client.make({ log: false })
client.closeOnSignals({ deadline: 10, interruptLimit: 10, onDrained: ({ clean }) => console.log("clean", clean) })
await new Promise((started) =>
  client.submit(() => new Promise(() => setInterval(() => started(), 1)), { name: "stubborn" })
)
process.kill(process.pid, "SIGTERM")
`)
    assert.deepStrictEqual([stdout, signal], ["clean false", "SIGTERM"])
  })

  it("ends by a signal when all of its clients have come to rest", async () => {
    const { signal, stdout } = await run(`
const clients = [20, 300].map((millis) => {
  const client = Client.make({ log: false })
  client.closeOnSignals({ onDrained: () => console.log(millis) })
  void client.run(() => sleep(millis))
  return client
})
await sleep(1)
process.kill(process.pid, "SIGTERM")
await sleep(5_000)
`)
    assert.deepStrictEqual([stdout, signal], ["20\n300", "SIGTERM"])
  })

  it("waits for its other clients when one of them cannot come to rest", async () => {
    const { signal, stdout } = await run(`
const closed = Client.make({ log: false })
closed.closeOnSignals({ onDrained: async () => { await closed.close(); throw new Error("too late") } })
const other = Client.make({ log: false })
other.closeOnSignals({ onDrained: () => console.log("other") })
void other.run(() => sleep(300))
await sleep(1)
process.kill(process.pid, "SIGTERM")
await sleep(5_000)
`)
    assert.deepStrictEqual([stdout, signal], ["other", "SIGTERM"])
  })

  it("leaves its end to a listener of the program's own, which hears the signal once", async () => {
    const { signal, stdout } = await run(`
process.on("SIGTERM", () => console.log("own"))
const client = Client.make({ log: false })
client.closeOnSignals({ onDrained: () => console.log("drained") })
await client.run(() => 1)
process.kill(process.pid, "SIGTERM")
await sleep(500)
`)
    assert.deepStrictEqual([stdout, signal], ["own\ndrained", null])
  })

  it("says what onDrained threw, and ends", async () => {
    const { signal, stdout } = await run(`
const client = Client.make({ log: ({ message }) => console.log(message) })
client.closeOnSignals({ onDrained: async () => { throw new Error("no metrics") } })
process.kill(process.pid, "SIGTERM")
await sleep(5_000)
`)
    assert.deepStrictEqual([stdout, signal], ["onDrained threw: Error: no metrics", "SIGTERM"])
  })

  it("has no listeners of clients that are closed", async () => {
    const { stdout } = await run(`
for (let n = 0; n < 20; n++) {
  const client = Client.make()
  client.closeOnSignals()
  if (n % 2 === 0) client.closeOnSignals({ signals: ["SIGHUP"] })
  await client.close()
}
console.log(["SIGTERM", "SIGINT", "SIGHUP"].map((signal) => process.listenerCount(signal)).join())
`)
    assert.strictEqual(stdout, "0,0,0")
  })

  it("is left alone when that is taken back", async () => {
    const { stdout } = await run(`
const client = Client.make()
client.closeOnSignals()()
console.log(process.listenerCount("SIGTERM"), process.listenerCount("SIGINT"))
`)
    assert.strictEqual(stdout, "0 0")
  })

  it("stays while there is work that repeats, until it is cancelled", async () => {
    const { signal, stdout } = await run(`
const client = Client.make({ log: false })
let rounds = 0
const job = await client.every(5, async () => { if (++rounds === 3) { console.log("three rounds"); void job.cancel() } }, { name: "tick" })
`)
    assert.deepStrictEqual([stdout, signal], ["three rounds", null])
  })
})
