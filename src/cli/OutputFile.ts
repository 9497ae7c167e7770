/**
 * Keeps the answers: one file that only grows, by whole lines.
 *
 * Every line is one `write` at the end of the file. Killing the process loses no line that was written, for those are
 * with the operating system; a power failure can lose what it has not yet put on disk, so the file is synced while the
 * run goes on and at its end.
 */
import { Effect, FileSystem, Option, Schedule, Scope, Semaphore, Stream } from "effect"
import type { PlatformError } from "effect"
import { BatchError, OutputForeign, OutputUnwritable, problemOf } from "./BatchError.ts"
import * as IdSet from "./batch/input/IdSet.ts"
import * as Lines from "./batch/input/Lines.ts"
import * as ResultLine from "./ResultLine.ts"

/** A file that takes whole lines, one after the other. */
export interface LineWriter {
  /** Writes a line that ends with a line end. Not interruptible: a line is written as a whole or the file is full. */
  readonly append: (line: string) => Effect.Effect<void, BatchError>
}

export interface OutputFile extends LineWriter {
  /** Answers that were in the file already. */
  readonly answered: number
  /** Bytes of an unfinished last line that were cut away; 0 when there was none. */
  readonly cutBytes: number
  /** Complete lines that hold no answer; they are left as they are, and do not count. */
  readonly otherLines: number
}

/** How often what was written is synced to disk. */
const syncEvery = "1 second"

/**
 * Opens an output file for the current scope and marks the ids of its answers as answered.
 *
 * A last line that was cut by a crash is removed, or completed if only its line end is missing.
 */
export const open = Effect.fn("OutputFile.open")(function* (
  path: string,
  ids: IdSet.IdSet
): Effect.fn.Return<OutputFile, BatchError, FileSystem.FileSystem | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const existing = yield* Effect.option(fs.stat(path))
  if (Option.isSome(existing) && existing.value.type !== "File") {
    return yield* new BatchError({ reason: new OutputUnwritable({ path, problem: "it is not a file" }) })
  }
  const file = yield* unwritable(path, fs.open(path, { flag: "a" }))
  const found = yield* unwritable(
    path,
    Stream.runFold(
      Lines.split(fs.stream(path)),
      () => nothing,
      (found, line) => look(found, line, ids)
    )
  )
  if (found.answered === 0 && (found.otherLines > 0 || isForeign(found.torn))) {
    return yield* new BatchError({ reason: new OutputForeign({ path }) })
  }

  const writer = yield* lineWriter(path, file)
  if (found.torn?.isAnswer === true) yield* writer.append("\n")
  else if (found.torn !== undefined) yield* unwritable(path, file.truncate(found.end))
  yield* Effect.forkScoped(Effect.repeat(Effect.ignore(writer.sync), Schedule.spaced(syncEvery)))
  yield* Effect.addFinalizer(() => Effect.ignore(writer.sync))
  return {
    append: writer.append,
    answered: found.answered,
    otherLines: found.otherLines,
    cutBytes: found.torn === undefined || found.torn.isAnswer ? 0 : found.torn.bytes
  }
})

/**
 * Makes a file for failures that is created by the first of them. What an earlier run left there is removed now.
 */
export const openErrors = Effect.fn("OutputFile.openErrors")(function* (
  path: string
): Effect.fn.Return<LineWriter, BatchError, FileSystem.FileSystem | Scope.Scope> {
  const fs = yield* FileSystem.FileSystem
  const scope = yield* Effect.scope
  const head = yield* Stream.runHead(Lines.split(fs.stream(path, { bytesToRead: headBytes }))).pipe(
    Effect.orElseSucceed(Option.none<Lines.Line>)
  )
  if (Option.isSome(head) && !ResultLine.isBeginning(head.value.text)) {
    return yield* new BatchError({ reason: new OutputForeign({ path }) })
  }
  yield* unwritable(path, fs.remove(path, { force: true }))
  const writer = yield* Effect.cached(
    unwritable(path, fs.open(path, { flag: "a" })).pipe(
      Effect.flatMap((file) => lineWriter(path, file)),
      Effect.provideService(Scope.Scope, scope)
    )
  )
  return { append: (line) => Effect.flatMap(writer, ({ append }) => append(line)) }
})

/** Enough to tell a result line from anything else. */
const headBytes = 64

/** What was found in the file, up to the byte `end`, where the last complete line ends. */
interface Found {
  readonly answered: number
  readonly otherLines: number
  readonly end: number
  readonly torn: { readonly text: string; readonly bytes: number; readonly isAnswer: boolean } | undefined
}

const nothing: Found = { answered: 0, otherLines: 0, end: 0, torn: undefined }

const look = (found: Found, { end, terminated, text }: Lines.Line, ids: IdSet.IdSet): Found => {
  const id = ResultLine.answeredId(text)
  if (Option.isSome(id)) ids.mark(id.value, IdSet.answered)
  if (!terminated) {
    const torn = { text, bytes: end - found.end, isAnswer: Option.isSome(id) }
    return { ...found, answered: found.answered + (torn.isAnswer ? 1 : 0), torn }
  }
  return Option.isSome(id)
    ? { ...found, end, answered: found.answered + 1 }
    : { ...found, end, otherLines: found.otherLines + 1 }
}

const isForeign = (torn: Found["torn"]): boolean => torn !== undefined && !ResultLine.isBeginning(torn.text)

const lineWriter = (path: string, file: FileSystem.File) =>
  Effect.map(Semaphore.make(1), (turn) => {
    let synced = true
    // After a failed write the file may end inside a line: nothing may follow it.
    let failure: BatchError | undefined
    const write = (line: string) =>
      Effect.suspend(() => {
        if (failure !== undefined) return Effect.fail(failure)
        synced = false
        return Effect.tapError(unwritable(path, file.writeAll(encoder.encode(line))), (error) =>
          Effect.sync(() => {
            failure = error
          })
        )
      })
    return {
      append: (line: string): Effect.Effect<void, BatchError> =>
        Effect.uninterruptible(turn.withPermits(1)(write(line))),
      sync: Effect.suspend(() => {
        if (synced) return Effect.void
        synced = true
        return unwritable(path, file.sync)
      })
    }
  })

const encoder = new TextEncoder()

const unwritable = <A, R>(
  path: string,
  self: Effect.Effect<A, PlatformError.PlatformError, R>
): Effect.Effect<A, BatchError, R> =>
  Effect.mapError(
    self,
    (error) => new BatchError({ reason: new OutputUnwritable({ path, problem: problemOf(error) }) })
  )
