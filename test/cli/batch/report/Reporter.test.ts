import { assert, it } from "@effect/vitest"
import { Effect, Layer, Sink, Stdio } from "effect"
import { TestClock } from "effect/testing"
import * as Counts from "../../../../src/cli/batch/report/Counts.ts"
import * as Reporter from "../../../../src/cli/batch/report/Reporter.ts"

/** How wide the terminal says that it is. */
const widths = Effect.acquireRelease(
  Effect.sync(() => {
    const before = Object.getOwnPropertyDescriptor(process.stderr, "columns")
    return {
      before,
      set: (columns: number) => Object.defineProperty(process.stderr, "columns", { value: columns, configurable: true })
    }
  }),
  ({ before }) =>
    Effect.sync(() => {
      if (before === undefined) Reflect.deleteProperty(process.stderr, "columns")
      else Object.defineProperty(process.stderr, "columns", before)
    })
)

it.effect("redraws in place, also on a terminal that was made narrower and broke the lines", () =>
  Effect.gen(function* () {
    const said: Array<string> = []
    const stderr = () => Sink.forEach((text: string | Uint8Array) => Effect.sync(() => void said.push(String(text))))
    const terminal = yield* widths
    terminal.set(80)
    const counts = Counts.make()
    counts.total = 200
    yield* Reporter.make({ style: "terminal", counts, files: { output: "o", errors: "e" }, resume: "" }).pipe(
      Effect.provide(Layer.fresh(Stdio.layerTest({ stderr })))
    )
    yield* TestClock.adjust("100 millis")
    const [first = "", second = ""] = said
    const lengths = first
      .split("\n")
      .slice(0, -1)
      .map(({ length }) => length)
    assert.deepStrictEqual([lengths.length, lengths.every((length) => length < 80)], [2, true])
    assert.isTrue(second.startsWith("\u001B[2F\u001B[J"), JSON.stringify(second))
    terminal.set(30)
    yield* TestClock.adjust("100 millis")
    const rows = lengths.reduce((sum, length) => sum + Math.ceil(length / 30), 0)
    assert.isAbove(rows, 2)
    assert.isTrue(said[2]?.startsWith(`\u001B[${rows}F\u001B[J`), JSON.stringify(said[2]))
    assert.isTrue(
      said[2]
        ?.split("\n")
        .slice(0, -1)
        .every((line) => line.replace(/^.*J/u, "").length < 30)
    )
  }).pipe(Effect.scoped)
)
