// A clean-up that repeats in the background. One bad round is recorded and does not end it.
//
// prints: removed 2 expired sessions
// prints: removed 1 expired sessions
// prints: 3 rounds, 1 of them failed
// prints: stopped: cancelled
import { Console, Effect, Logger } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

let now = 0
let sessions = [5, 10, 25, 99]

const cleanUp = Effect.gen(function* () {
  now += 10
  if (now === 20) return yield* Effect.fail("the database is away")
  const kept = sessions.filter((expiry) => expiry > now)
  yield* Console.log(`removed ${sessions.length - kept.length} expired sessions`)
  sessions = kept
})

const program = Effect.gen(function* () {
  const job = yield* Supervisor.every(cleanUp, {
    name: "clean up sessions",
    schedule: "50 millis", // in real life "10 minutes", a Schedule, or a Cron
    overlap: "skip", // a round that takes too long is not joined by a second one
    timeout: "1 second"
  })

  // The first round begins at once.
  yield* Effect.sleep("125 millis")
  const { rounds } = yield* Job.status(job)
  yield* Console.log(`${rounds?.started} rounds, ${rounds?.failed} of them failed`)

  // It would end with the supervisor anyway.
  const { state } = yield* Job.cancel(job)
  yield* Console.log(`stopped: ${state}`)
})

// The failed round is logged as an error; the example keeps quiet about it.
await Effect.runPromise(program.pipe(Effect.provide(Supervisor.layer()), Effect.provide(Logger.layer([]))))
