// A job says how far it is, and a progress bar follows it at its own pace.
//
// prints: [####################] 100% 40 of 40 files
import { Effect, Schedule, Stream } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

const files = Array.from({ length: 40 }, (_, index) => `file-${index + 1}`)

// Reports from inside the job find their job by themselves.
const convert = Effect.forEach(
  files,
  (_, index) =>
    Effect.delay(
      Job.report({ done: index + 1, total: files.length }, `${index + 1} of ${files.length} files`),
      "5 millis"
    ),
  { discard: true }
)

const bar = ({ fraction, message = "" }: Job.Progress) => {
  const filled = Math.round(fraction * 20)
  return `[${"#".repeat(filled)}${".".repeat(20 - filled)}] ${Math.round(fraction * 100)}% ${message}`
}

// On a terminal the bar stays on one line.
const draw = (progress: Job.Progress) =>
  Effect.sync(() => process.stdout.write(process.stdout.isTTY ? `\r${bar(progress)}` : `${bar(progress)}\n`))

const program = Effect.gen(function* () {
  const job = yield* Supervisor.submit(convert, { name: "convert" })
  // At most ten times a second: a slow reader gets the latest report, and always the last one.
  yield* Job.progress(job).pipe(Stream.schedule(Schedule.spaced("100 millis")), Stream.runForEach(draw))
  yield* Job.join(job)
})

await Effect.runPromise(Effect.provide(program, Supervisor.layer()))
