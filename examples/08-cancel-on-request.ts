// A user asks to stop: the work is interrupted, its clean-up runs, and only then is the job over.
//
// prints: writing to upload.tmp
// prints: upload.tmp removed
// prints: job-1 is cancelled
// prints: whoever waited is told: the user pressed stop
// prints: asked again, it stays cancelled
import { Console, Effect, Fiber } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

// Opened when the job begins, removed when it ends, however it ends.
const temporaryFile = Effect.acquireRelease(Effect.as(Console.log("writing to upload.tmp"), "upload.tmp"), (name) =>
  Effect.delay(Console.log(`${name} removed`), "20 millis")
)
const upload = Effect.andThen(temporaryFile, Effect.sleep("1 hour"))

const program = Effect.gen(function* () {
  const job = yield* Supervisor.submit(upload, { name: "upload", metadata: { user: "u-1" } })
  const waiting = yield* Effect.forkChild(
    Job.join(job).pipe(
      Effect.catchReason("JobError", "Cancelled", ({ reason }) => Console.log(`whoever waited is told: ${reason}`))
    )
  )
  yield* Effect.sleep("100 millis")

  // What an HTTP handler for "stop" would do: it knows only the id.
  const { state } = yield* Supervisor.cancel(job.id, { reason: "the user pressed stop" })
  yield* Console.log(`${job.id} is ${state}`)
  yield* Fiber.join(waiting)

  const again = yield* Supervisor.cancel(job.id)
  yield* Console.log(`asked again, it stays ${again.state}`)

  // The same for everything one user has running:
  yield* Supervisor.cancelAll({ metadata: { user: "u-1" } }, { reason: "the user left" })
})

await Effect.runPromise(Effect.provide(program, Supervisor.layer()))
