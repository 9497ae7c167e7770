/**
 * Tells on standard error how a batch run goes: as a bar on a terminal, as lines in a log, or as events for a program.
 */
import { Effect, Fiber, Schedule, Stdio, Stream } from "effect"
import type { Scope } from "effect"
import * as Monotonic from "../../../core/Monotonic.ts"
import type { BatchEvent } from "./BatchEvent.ts"
import type * as Counts from "./Counts.ts"
import * as ProgressBar from "./ProgressBar.ts"
import * as Shown from "./Shown.ts"
import * as Summary from "./Summary.ts"

/**
 * How to tell: a bar that is redrawn in place, a line now and then, every event as JSON, or no more than failures and
 * the summary.
 */
export type Style = "terminal" | "log" | "json" | "quiet"

export interface Reporter {
  readonly onEvent: (event: BatchEvent) => Effect.Effect<void>
  /** Tells the end of the run. */
  readonly end: (stopped: boolean) => Effect.Effect<void>
}

const defaults = {
  redraw: "100 millis",
  logEvery: "5 seconds",
  jsonEvery: "1 second",
  /** Failures that are named one by one; the errors file has all. */
  failuresShown: 10
} as const

/** Starts telling, for the current scope. `resume` is the command that goes on after a stop. */
export const make = Effect.fn("Reporter.make")(function* (options: {
  readonly style: Style
  readonly counts: Counts.Counts
  readonly files: Summary.Files
  readonly resume: string
}): Effect.fn.Return<Reporter, never, Stdio.Stdio | Scope.Scope> {
  const { counts, files, resume, style } = options
  const stdio = yield* Stdio.Stdio
  const startedAt = yield* Monotonic.millis
  const elapsed = Effect.map(Monotonic.millis, (now) => Math.round(now - startedAt))
  const write = (text: string) => Effect.ignore(Stream.run(Stream.succeed(text), stdio.stderr()))

  let isStopping = false
  /** How long each of the lines is that were drawn last. */
  let drawn: ReadonlyArray<number> = []
  let failuresShown = 0
  const look = Effect.map(elapsed, (millis) => ProgressBar.snapshot(counts, millis, isStopping))
  const erase = () => {
    // A terminal that was made narrower since has broken them into more.
    const lines = drawn.reduce((sum, length) => sum + Math.max(1, Math.ceil(length / width())), 0)
    drawn = []
    // So many lines up, to the start of that line, and everything below it gone.
    return lines === 0 ? "" : `\u001B[${lines}F\u001B[J`
  }
  const draw = Effect.flatMap(look, (now) => {
    const lines = ProgressBar.render(now, width() - 1)
    const text = `${erase()}${lines.join("\n")}\n`
    drawn = lines.map(({ length }) => length)
    return write(text)
  })
  const say = (text: string) => Effect.suspend(() => write(`${erase()}${text}\n`))
  const emit = (event: BatchEvent) => write(`${Shown.json(event)}\n`)

  const tick = {
    terminal: Effect.repeat(draw, Schedule.spaced(defaults.redraw)),
    log: Effect.delay(
      Effect.flatMap(look, (now) => say(ProgressBar.renderLine(now))),
      defaults.logEvery
    ).pipe(Effect.forever),
    json: Effect.delay(
      Effect.flatMap(look, (now) => emit({ event: "RunProgressed", ...now })),
      defaults.jsonEvery
    ).pipe(Effect.forever),
    quiet: Effect.void
  }
  yield* Effect.addFinalizer(() => Effect.suspend(() => write(erase())))
  const ticking = yield* Effect.forkScoped(tick[style])

  const tell = (event: BatchEvent): Effect.Effect<void> => {
    switch (event.event) {
      case "RunStarted":
        return style === "quiet" ? Effect.void : Effect.forEach(startNotes(event, files), say, { discard: true })
      case "RequestFailed":
        failuresShown += 1
        if (failuresShown > defaults.failuresShown) return Effect.void
        return Effect.andThen(
          say(
            `failed: ${event.customId === null ? "" : `${Shown.short(event.customId, 100)}, `}${Shown.short(event.message, 500)}`
          ),
          failuresShown === defaults.failuresShown
            ? say(`further failures: see ${Shown.text(files.errors)}`)
            : Effect.void
        )
      case "RunWaiting":
        return style === "quiet"
          ? Effect.void
          : say(`waiting up to ${ProgressBar.clock(event.millis)}: ${event.because}`)
      case "RunStopping":
        isStopping = true
        return style === "quiet"
          ? Effect.void
          : say(
              `stopping: ${Summary.counted(event.inFlight, "request")} in flight may finish; press Ctrl-C again to stop at once`
            )
      default:
        return Effect.void
    }
  }

  return {
    onEvent: style === "json" ? emit : tell,
    end: (stopped) =>
      Effect.gen(function* () {
        yield* Fiber.interrupt(ticking)
        const summary = Summary.make(counts, yield* elapsed, stopped)
        if (style === "json") return yield* emit({ event: "RunEnded", ...summary })
        yield* Effect.forEach(Summary.render(summary, files), say, { discard: true })
        if (stopped) yield* say(`stopped; to resume, run the same command again: ${resume}`)
      })
  }
})

const startNotes = (
  { answeredBefore, cutBytes }: Extract<BatchEvent, { event: "RunStarted" }>,
  { output }: Summary.Files
): ReadonlyArray<string> => [
  ...(answeredBefore === 0
    ? []
    : [
        `${Summary.counted(answeredBefore, "answer")} ${answeredBefore === 1 ? "is" : "are"} in ${Shown.text(output)} already`
      ]),
  ...(cutBytes === 0 ? [] : [`removed ${cutBytes} bytes of an unfinished last line from ${Shown.text(output)}`])
]

const width = (): number => process.stderr.columns ?? 80
