/**
 * Reads what is to be done from the input: a stream of requests and bad lines, without those already answered.
 */
import * as NodeStream from "@effect/platform-node/NodeStream"
import { Effect, FileSystem, Result, Stdio, Stream } from "effect"
import { systemError, type PlatformError } from "effect/PlatformError"
import { createReadStream } from "node:fs"
import { BatchError, InputUnreadable, problemOf } from "./BatchError.ts"
import { type BatchRequest, InvalidLine, parse } from "./BatchRequest.ts"
import type { Counts } from "./batch/report/Counts.ts"
import * as IdSet from "./batch/input/IdSet.ts"
import * as Lines from "./batch/input/Lines.ts"

/** What one line of the input asks for. */
export type Task = Result.Result<BatchRequest, InvalidLine>

export interface Options {
  /** Used where a line names none. */
  readonly model: string | undefined
  /** How many requests to read before the rest is left for another run. */
  readonly limit: number | undefined
  /** Where the answered ids are marked, and those that are read. */
  readonly ids: IdSet.IdSet
  readonly counts: Counts
}

/** An input that is there. */
export interface Input {
  readonly bytes: Stream.Stream<Uint8Array, BatchError>
  /** False for what can be read only once: standard input, a pipe. */
  readonly isFile: boolean
}

/** Finds the input. Fails at once when there is none. */
export const open = Effect.fn("BatchInput.open")(function* (
  path: string
): Effect.fn.Return<Input, BatchError, FileSystem.FileSystem | Stdio.Stdio> {
  if (path === "-") {
    const { stdin } = yield* Stdio.Stdio
    return { bytes: unreadable("standard input", stdin), isFile: false }
  }
  const fs = yield* FileSystem.FileSystem
  const fail = (problem: string) => Effect.fail(new BatchError({ reason: new InputUnreadable({ path, problem }) }))
  const { type } = yield* Effect.catch(fs.stat(path), (error) => fail(problemOf(error)))
  if (type === "Directory") return yield* fail("it is a folder")
  if (type === "File") return { bytes: unreadable(path, fs.stream(path)), isFile: true }
  // A pipe, which cannot be read at a position as `fs.stream` does.
  const pipe = NodeStream.fromReadable({
    evaluate: () => createReadStream(path),
    onError: (cause) => systemError({ _tag: "Unknown", module: "BatchInput", method: "open", cause })
  })
  return { bytes: unreadable(path, pipe), isFile: false }
})

/**
 * Turns the input's bytes into tasks, in order. Blank lines are passed over; answered requests are counted as skipped.
 *
 * A `custom_id` that an earlier line has is an invalid line: its request is not sent a second time.
 */
export const tasks = <R>(bytes: Stream.Stream<Uint8Array, BatchError, R>, options: Options) => {
  let accepted = 0
  const isOpen = () => options.limit === undefined || accepted < options.limit
  return Lines.split(bytes).pipe(
    Stream.takeWhile(isOpen),
    Stream.filterMap((line) => {
      const task = isOpen() ? read(line, options) : undefined
      if (task === undefined) return Result.fail(line)
      if (Result.isSuccess(task)) accepted += 1
      options.counts.read += 1
      return Result.succeed(task)
    })
  )
}

/** Counts the lines of a file that hold anything, while the run goes on. */
export const countLines = <R>(bytes: Stream.Stream<Uint8Array, BatchError, R>): Effect.Effect<number, BatchError, R> =>
  Stream.runFold(
    bytes,
    () => ({ lines: 0, open: false }),
    ({ lines, open }, chunk) => {
      let from = 0
      for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
        if (open || hasContent(chunk, from, at)) lines += 1
        open = false
        from = at + 1
      }
      return { lines, open: open || hasContent(chunk, from, chunk.length) }
    }
  ).pipe(Effect.map(({ lines, open }) => lines + (open ? 1 : 0)))

const read = (line: Lines.Line, { counts, ids, model }: Options): Task | undefined => {
  if (line.problem === undefined && line.text.trim() === "") return undefined
  const task = parse(line, model)
  if (Result.isFailure(task)) return task
  const { customId } = task.success
  const marks = ids.mark(customId, IdSet.read)
  if ((marks & IdSet.read) !== 0) {
    return Result.fail(
      new InvalidLine({
        line: line.number,
        customId,
        field: "custom_id",
        problem: `${JSON.stringify(customId)} is that of an earlier line`
      })
    )
  }
  if ((marks & IdSet.answered) !== 0) {
    counts.skipped += 1
    return undefined
  }
  return task
}

const newline = 0x0a

const hasContent = (chunk: Uint8Array, from: number, to: number): boolean => {
  for (let at = from; at < to; at++) {
    const byte = chunk[at] ?? 0
    if (byte !== 0x20 && byte !== 0x0d && byte !== 0x09) return true
  }
  return false
}

const unreadable = <A, R>(path: string, self: Stream.Stream<A, PlatformError, R>): Stream.Stream<A, BatchError, R> =>
  Stream.mapError(self, (error) => new BatchError({ reason: new InputUnreadable({ path, problem: problemOf(error) }) }))
