// Background jobs in plain TypeScript: promises in, promises out, an AbortSignal to give up.
//
// prints: read 4 documents, 2 at a time
// prints: gave up waiting, job-1 goes on
// prints: job-1 is cancelled
// prints: job-2 failed: Error: page 7 is missing
import { Effect, Layer, Logger, ManagedRuntime } from "effect"
import { setTimeout as sleep } from "node:timers/promises"
import { Job, Supervisor } from "holdfast/supervisor"

// Ordinary work. The signal fires when its job is cancelled, times out or the program ends: pass it on.
const read = async (pages: number, signal: AbortSignal) => {
  await sleep(pages * 10, undefined, { signal })
  if (pages === 7) throw new Error("page 7 is missing")
  return pages
}

// 1. One promise. The supervisor lives as long as it takes, and nothing it started outlives it.
const documents = await Effect.runPromise(
  Effect.forEach(
    [1, 2, 3, 4],
    (pages) =>
      Supervisor.run(
        Job.promise(({ signal }) => read(pages, signal)),
        { name: `read ${pages}` }
      ),
    { concurrency: "unbounded" }
  ).pipe(Effect.provide(Supervisor.layer({ concurrency: 2 })))
)
console.log(`read ${documents.length} documents, 2 at a time`)

// 2. A whole program. The runtime makes the supervisor once and keeps it until it is disposed.
const runtime = ManagedRuntime.make(Layer.merge(Supervisor.layer(), Logger.layer([])))

const start = (pages: number) =>
  runtime.runPromise(
    Supervisor.submit(
      Job.promise(({ signal }) => read(pages, signal)),
      { name: `read ${pages}`, timeout: "1 minute" }
    )
  )
const stateOf = async (id: string) => (await runtime.runPromise(Supervisor.get(id))).state

const job = await start(10_000)

// Giving up waiting does not touch the job; cancelling it does.
await runtime.runPromise(Job.join(job), { signal: AbortSignal.timeout(30) }).catch(() => {})
console.log(`gave up waiting, ${job.id} ${(await stateOf(job.id)) === "cancelled" ? "is lost" : "goes on"}`)
await runtime.runPromise(Supervisor.cancel(job.id, { reason: "not needed" }))
console.log(`${job.id} is ${await stateOf(job.id)}`)

const failing = await start(7)
await runtime.runPromise(Job.join(failing)).catch((error) => console.log(`${failing.id} failed: ${error}`))

await runtime.dispose() // ends every job that still runs, and waits for it
