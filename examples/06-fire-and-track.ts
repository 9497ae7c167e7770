// Start jobs in the background, keep only their ids, and ask later what became of them.
//
// prints: accepted job-1 and job-2
// prints: now: thumbnail running, invoice running
// prints: then: thumbnail completed, invoice failed
// prints: job-1 gave 640x480
// prints: job-2 failed because: no such customer
import { Console, Effect, Logger } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

const thumbnail = Effect.delay(Effect.succeed("640x480"), "300 millis")
const invoice = Effect.delay(Effect.fail("no such customer"), "300 millis")

const overview = Effect.map(Supervisor.list(), (jobs) => jobs.map(({ name, state }) => `${name} ${state}`).join(", "))

const program = Effect.gen(function* () {
  const first = yield* Supervisor.submit(thumbnail, { name: "thumbnail" })
  const second = yield* Supervisor.submit(invoice, { name: "invoice" })
  yield* Console.log(`accepted ${first.id} and ${second.id}`)

  yield* Effect.sleep("100 millis")
  yield* Console.log(`now: ${yield* overview}`)

  // Waits for both, whatever becomes of them.
  yield* Supervisor.awaitAll({}, { limit: "5 seconds" })
  yield* Console.log(`then: ${yield* overview}`)

  // With the handle the result has its type; by its id anybody can have it, untyped.
  const size: string = yield* Job.join(first)
  yield* Console.log(`${first.id} gave ${size}`)
  const found = yield* Supervisor.find("job-2")
  const why = yield* Effect.flip(Job.join(found))
  yield* Console.log(`${found.id} failed because: ${String(why)}`)
})

// A failed job is also logged once, with its cause; here that would only be in the way.
const layer = Supervisor.layer()
await Effect.runPromise(program.pipe(Effect.provide(layer), Effect.provide(Logger.layer([]))))
