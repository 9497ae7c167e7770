/**
 * Reads what is to be done from the input: a stream of requests and bad lines, without those already answered.
 */
import * as NodeStream from "@effect/platform-node/NodeStream"
import { Effect, Result, Stdio, Stream } from "effect"
import { systemError, type PlatformError } from "effect/PlatformError"
import { closeSync, constants, createReadStream, fstatSync, openSync, readSync, statSync } from "node:fs"
import { Socket } from "node:net"
import type { Readable } from "node:stream"
import { createGunzip } from "node:zlib"
import { BatchError, InputUnreadable, problemOf, problemOfNode } from "../BatchError.ts"
import { type BatchRequest, type Fallbacks, InvalidLine, parse } from "./BatchRequest.ts"
import * as Csv from "./Csv.ts"
import type { Counts } from "../report/Counts.ts"
import * as IdSet from "./IdSet.ts"
import * as Lines from "./Lines.ts"

/** What one line of the input asks for. */
export type Task = Result.Result<BatchRequest, InvalidLine>

export interface Options {
  readonly fallbacks: Fallbacks
  /** How many requests to read before the rest is left for another run. */
  readonly limit: number | undefined
  /** Takes every n-th request, from the first; the others are left for another run. */
  readonly every: number
  /** Whether to do only what the last run failed at. */
  readonly failedOnly: boolean
  /** Where the answered ids are marked, and those that are read. */
  readonly ids: IdSet.IdSet
  readonly counts: Counts
}

/** An input that is there. */
export interface Input {
  /** Cut into lines; where it is a table, each of its rows as a line in the short form. */
  readonly lines: Stream.Stream<Lines.Line, BatchError>
  /** Counts the lines that hold anything; none for what can be read only once. */
  readonly count: Effect.Effect<number, BatchError> | undefined
}

/** Finds the input. Fails at once when there is none, or what is there is no file of lines. */
export const open = Effect.fn("BatchInput.open")(function* (
  path: string,
  template: Csv.Template | undefined
): Effect.fn.Return<Input, BatchError, Stdio.Stdio> {
  const unreadable = (problem: string) => new BatchError({ reason: new InputUnreadable({ path, problem }) })
  // The input is read twice, to count its lines as well: each time begins at its first chunk.
  const checked = (bytes: Stream.Stream<Uint8Array, PlatformError>): Stream.Stream<Uint8Array, BatchError> =>
    Stream.suspend(() => {
      let isFirst = true
      return Stream.mapEffect(
        Stream.mapError(bytes, (error) => unreadable(problemOf(error))),
        (chunk) => {
          const hint = isFirst ? hintOf(chunk, template !== undefined) : undefined
          isFirst = false
          return hint === undefined ? Effect.succeed(chunk) : Effect.fail(unreadable(hint))
        }
      )
    })
  const linesOf = (bytes: Stream.Stream<Uint8Array, BatchError>) =>
    template === undefined ? Lines.split(bytes) : Csv.lines(bytes, template, (problem) => unreadable(problem))

  if (path === "-") {
    const { stdin } = yield* Stdio.Stdio
    return { lines: linesOf(checked(stdin)), count: undefined }
  }
  const found = yield* Effect.try({
    try: () => {
      const stats = statSync(path)
      return { stats, isPacked: stats.isFile() && isGzip(headOf(path)) }
    },
    catch: (error) => unreadable(problemOfNode(error))
  })
  if (found.stats.isDirectory()) return yield* unreadable("it is a folder")
  const bytes = checked(streamOf(() => (found.stats.isFile() ? fileOf(path, found.isPacked) : pipeOf(path))))
  if (!found.stats.isFile()) return { lines: linesOf(bytes), count: undefined }
  const count = template === undefined ? countLines(bytes) : Stream.runCount(linesOf(bytes))
  return { lines: linesOf(bytes), count }
})

/** How many requests there are for each that a sample takes; 1 where all are taken. */
export const everyOf = (
  { count }: Input,
  { input: path, sample }: { readonly input: string; readonly sample?: number | undefined }
): Effect.Effect<number, BatchError> => {
  if (sample === undefined) return Effect.succeed(1)
  if (count === undefined) {
    const problem = "a sample can be taken of a file only"
    return Effect.fail(new BatchError({ reason: new InputUnreadable({ path, problem }) }))
  }
  return Effect.map(count, (lines) => Math.max(1, Math.floor(lines / sample)))
}

/**
 * Turns lines into tasks, in order. Blank lines are passed over; answered requests are counted as skipped.
 *
 * A `custom_id` that an earlier line has is an invalid line: its request is not sent a second time.
 */
export const tasks = <E, R>(lines: Stream.Stream<Lines.Line, E, R>, options: Options) => {
  let accepted = 0
  let seen = 0
  const isOpen = () => options.limit === undefined || accepted < options.limit
  return lines.pipe(
    Stream.takeWhile(isOpen),
    Stream.filterMap((line) => {
      if (!isOpen() || Lines.isBlank(line) || seen++ % options.every !== 0) return Result.fail(line)
      const task = read(line, options)
      if (task === undefined) return Result.fail(line)
      if (Result.isSuccess(task)) accepted += 1
      options.counts.read += 1
      return Result.succeed(task)
    })
  )
}

/** Counts the lines that hold anything. */
const countLines = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Effect.Effect<number, E, R> =>
  Stream.runFold(
    bytes,
    () => ({ lines: 0, open: false }),
    ({ lines, open }, chunk) => {
      let from = 0
      for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
        if (open || Lines.hasContent(chunk, from, at)) lines += 1
        open = false
        from = at + 1
      }
      return { lines, open: open || Lines.hasContent(chunk, from, chunk.length) }
    }
  ).pipe(Effect.map(({ lines, open }) => lines + (open ? 1 : 0)))

const read = (line: Lines.Line, { counts, failedOnly, fallbacks, ids }: Options): Task | undefined => {
  const task = parse(line, fallbacks)
  if (Result.isFailure(task)) return failedOnly ? undefined : task
  const { customId } = task.success
  const marks = ids.mark(customId, IdSet.read)
  if ((marks & IdSet.read) !== 0) {
    return Result.fail(
      new InvalidLine({
        line: line.number,
        customId,
        field: "custom_id",
        problem: `${JSON.stringify(customId.slice(0, 200))} is that of an earlier line`
      })
    )
  }
  if ((marks & IdSet.answered) !== 0) {
    counts.skipped += 1
    return undefined
  }
  return failedOnly && (marks & IdSet.failed) === 0 ? undefined : task
}

const newline = 0x0a

/** How files begin that are packed otherwise than with gzip. */
const packings = [
  ["\x28\xb5\x2f\xfd", "zstd"],
  ["\xfd7zX", "xz"],
  ["BZh", "bzip2"]
] as const

/** Says what a file is that is no file of lines, and what to do. */
const hintOf = (chunk: Uint8Array, isTable: boolean): string | undefined => {
  const head = Buffer.from(chunk.subarray(0, 4_096))
  const magic = head.toString("latin1", 0, 4)
  const isWide =
    magic.startsWith("\xff\xfe") || magic.startsWith("\xfe\xff") || /^(?:[^\0]\0){2}|^(?:\0[^\0]){2}/u.test(magic)
  if (isWide) return "it looks like UTF-16: convert it, for example with iconv -f UTF-16 -t UTF-8"
  if (magic.startsWith("\x1f\x8b")) return "it is packed with gzip: unpack it on the way, with gunzip -c"
  if (magic.startsWith("PK\x03\x04")) return "it is a zip archive: unpack it first"
  const packing = packings.find(([beginning]) => magic.startsWith(beginning))?.[1]
  if (packing !== undefined) return `it is packed with ${packing}: unpack it on the way, with ${packing} -dc`
  if (magic === "PAR1") return "it is a Parquet file: write its rows as lines of JSON first"
  if (isTable) return undefined
  const text = head
    .toString("utf8")
    .trimStart()
    .replace(/^\uFEFF/u, "")
  if (text.startsWith("[")) return "it is a JSON array: write one object a line, for example with jq -c '.[]'"
  if (/^\{\s*\n/u.test(text))
    return "its JSON goes over several lines: write one object a line, for example with jq -c ."
  return undefined
}

const isGzip = (head: Uint8Array): boolean => head[0] === 0x1f && head[1] === 0x8b

const headOf = (path: string): Uint8Array => {
  const file = openSync(path, "r")
  try {
    const head = new Uint8Array(2)
    return head.subarray(0, readSync(file, head))
  } finally {
    closeSync(file)
  }
}

const fileOf = (path: string, isPacked: boolean): Readable => {
  const file = createReadStream(path, { highWaterMark: 256 * 1_024 })
  if (!isPacked) return file
  const unpacked = createGunzip()
  file.on("error", (error) => unpacked.destroy(error))
  unpacked.on("close", () => file.destroy())
  return file.pipe(unpacked)
}

/** Opens a pipe without waiting for who writes it: a thread that waits there could not be called back. */
const pipeOf = (path: string): Readable => {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  return fstatSync(fd).isFIFO() ? new Socket({ fd, readable: true, writable: false }) : createReadStream("", { fd })
}

const streamOf = (evaluate: () => Readable): Stream.Stream<Uint8Array, PlatformError> =>
  NodeStream.fromReadable({
    evaluate,
    onError: (cause) => systemError({ _tag: "Unknown", module: "BatchInput", method: "open", cause })
  })
