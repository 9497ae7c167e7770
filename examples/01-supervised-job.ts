// A background job with a name, a time limit and an owner: start it, look at it, wait for it, cancel another.
//
// prints: index is running for u-1
// prints: 3 documents indexed
// prints: crawl was cancelled: user left
import { Console, Effect } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

const indexDocuments = Effect.delay(Effect.succeed(3), "50 millis")

const program = Effect.gen(function* () {
  const index = yield* Supervisor.submit(indexDocuments, {
    name: "index",
    timeout: "2 minutes",
    metadata: { user: "u-1" }
  })
  const crawl = yield* Supervisor.submit(Effect.never, { name: "crawl" })

  yield* Effect.sleep("10 millis")
  const [running] = yield* Supervisor.list({ state: "running", metadata: { user: "u-1" } })
  yield* Console.log(`${running?.name} is ${running?.state} for u-1`)

  // Waiting is not owning: giving up after a while would leave the job alone.
  yield* Console.log(`${yield* Job.join(index)} documents indexed`)

  yield* Job.cancel(crawl, { reason: "user left" })
  yield* Job.join(crawl).pipe(
    Effect.catchReason("JobError", "Cancelled", ({ reason }) => Console.log(`crawl was cancelled: ${reason}`))
  )
})

// Leaving the layer's scope would end any job that still runs.
await Effect.runPromise(Effect.provide(program, Supervisor.layer({ concurrency: 50 })))
