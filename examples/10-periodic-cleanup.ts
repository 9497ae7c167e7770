// A clean-up that repeats in the background. One bad round is recorded and does not end it.
//
// prints: removed 2 expired sessions
// prints: clean up failed: the database is away
// prints: removed 1 expired sessions
// prints: 3 rounds, 1 of them failed
import { Cause, Console, Effect, Logger, Schedule } from "effect"
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
    name: "clean up",
    // Three rounds, so that the example ends. In real life: "10 minutes", another Schedule, or a Cron.
    schedule: Schedule.upTo(Schedule.fixed("50 millis"), { times: 2 }),
    overlap: "skip", // no second round while one still runs
    timeout: "1 second"
  })
  // Without an end of its own it goes on until it is cancelled, or the supervisor drains or closes.
  yield* Job.join(job)
  const { rounds } = yield* Job.status(job)
  yield* Console.log(`${rounds?.started} rounds, ${rounds?.failed} of them failed`)
})

const layer = Supervisor.layer({
  onFailure: ({ cause, job }) => Console.log(`${job.name} failed: ${String(Cause.squash(cause))}`)
})
// The failed round is logged as an error as well; the example keeps quiet about that.
await Effect.runPromise(program.pipe(Effect.provide(layer), Effect.provide(Logger.layer([]))))
