/**
 * Keeps the answers: one file that only grows, by whole lines.
 *
 * Lines are written at the end of the file, as many at once as have come while the last ones were written. Killing the process
 * loses no line that was written, for those are with the operating system; a power failure can lose what it has not yet put on
 * disk, so the file is synced while the run goes on and at its end.
 */
import { Effect, Schedule, Semaphore, Stream } from "effect"
import { bufferOf } from "../input/Bytes.ts"
import type { Scope } from "effect"
import * as NodeStream from "@effect/platform-node/NodeStream"
import { createReadStream, statSync } from "node:fs"
import { open as openFile, type FileHandle } from "node:fs/promises"
import { BatchError, OutputForeign, OutputUnwritable, problemOfNode } from "../BatchError.ts"
import * as IdSet from "../input/IdSet.ts"
import * as Lines from "../input/Lines.ts"
import * as ResultLine from "./ResultLine.ts"

/** A file that takes whole lines, one after the other. */
export interface LineWriter {
  /** Writes a line that ends with a line end. Not interruptible: a line is written as a whole or the file is full. */
  readonly append: (line: Uint8Array) => Effect.Effect<void, BatchError>
}

export interface OutputFile extends LineWriter {
  /** Answers that were in the file already. */
  readonly answered: number
  /** Bytes of an unfinished last line that were cut away; 0 when there was none. */
  readonly cutBytes: number
  /** Complete lines that hold no answer; they are left as they are, and do not count. */
  readonly otherLines: number
  /** Syncs what was written, and puts the file back when somebody removed it meanwhile. */
  readonly sync: Effect.Effect<void, BatchError>
}

/** How often what was written is synced to disk. */
const syncEvery = "1 second"

/** The longest line that is read: more than any answer. */
const longestLine = 2 ** 29

/**
 * Opens an output file for the current scope and marks the ids of its answers as answered.
 *
 * A last line that was cut by a crash is removed, or completed if only its line end is missing. Fails with `OutputForeign` for a
 * file with lines in it of which none is a batch's result.
 */
export const open = Effect.fn("OutputFile.open")(function* (
  path: string,
  ids: IdSet.IdSet,
  onFailure: (error: BatchError) => Effect.Effect<void> = () => Effect.void
): Effect.fn.Return<OutputFile, BatchError, Scope.Scope> {
  const file = yield* AnswerFile.open(path)
  const found = yield* look(path, ids)
  if (found.answered + found.results === 0 && (found.otherLines > 0 || isForeign(found.torn))) {
    return yield* new BatchError({ reason: new OutputForeign({ path }) })
  }
  const isOurs = found.torn !== undefined && !found.torn.isAnswer && !isForeign(found.torn)
  if (isOurs) yield* file.truncate(found.end)
  else if (found.torn !== undefined) yield* file.append(Buffer.from("\n"))
  yield* Effect.forkScoped(
    Effect.repeat(Effect.catch(file.sync, onFailure), Schedule.spaced(syncEvery)).pipe(Effect.delay(syncEvery))
  )
  return {
    append: file.append,
    sync: file.sync,
    answered: found.answered,
    otherLines: found.otherLines + found.results,
    cutBytes: isOurs ? (found.torn?.size ?? 0) : 0
  }
})

/** Marks the ids of a file's answers as answered, and changes nothing. */
export const markAnswered = (path: string, ids: IdSet.IdSet): Effect.Effect<void, BatchError> =>
  Effect.asVoid(look(path, ids))

/** What was found in the file, up to the byte `end`, where the last complete line ends. */
interface Found {
  readonly answered: number
  readonly results: number
  readonly otherLines: number
  readonly end: number
  readonly torn: { readonly bytes: Buffer; readonly size: number; readonly isAnswer: boolean } | undefined
}

const nothing: Found = { answered: 0, results: 0, otherLines: 0, end: 0, torn: undefined }

const look = (path: string, ids: IdSet.IdSet): Effect.Effect<Found, BatchError> =>
  Stream.runFold(
    linesOf(path),
    () => nothing,
    (found, line) => {
      if (Lines.isBlank(line) && line.terminated) return { ...found, end: line.end }
      const kind: ResultLine.Kind =
        line.problem === undefined ? ResultLine.kindOf(bufferOf(line.bytes)) : { kind: "other" }
      const isAnswer = kind.kind === "answer"
      if (isAnswer) ids.mark(kind.customId, IdSet.answered)
      const torn = line.terminated
        ? undefined
        : { bytes: bufferOf(line.bytes), size: line.end - found.end, isAnswer: isAnswer || kind.kind === "result" }
      const isResult = kind.kind === "result" || kind.kind === "failure"
      return {
        answered: found.answered + (isAnswer ? 1 : 0),
        results: found.results + (isResult ? 1 : 0),
        otherLines: found.otherLines + (kind.kind === "other" && line.terminated ? 1 : 0),
        end: line.terminated ? line.end : found.end,
        torn
      }
    }
  )

const isForeign = (torn: Found["torn"]): boolean =>
  torn !== undefined && !torn.isAnswer && !ResultLine.isBeginning(torn.bytes)

/** The lines of a file of results. */
export const linesOf = (path: string): Stream.Stream<Lines.Line, BatchError> =>
  Lines.split(
    NodeStream.fromReadable({
      evaluate: () => createReadStream(path, { highWaterMark: 256 * 1_024 }),
      onError: (error) => unwritable(path, error)
    }),
    longestLine
  )

/** Writes at the end of a file, many lines at a time where many come. */
class AnswerFile {
  private readonly path: string
  private readonly turn: Semaphore.Semaphore
  private handle: FileHandle
  private waiting: Array<Uint8Array> = []
  private added = 0
  private written = 0
  private isSynced = true
  /** After a failed write the file may end inside a line: nothing may follow it. */
  private failure: BatchError | undefined

  private constructor(path: string, handle: FileHandle, turn: Semaphore.Semaphore) {
    this.path = path
    this.handle = handle
    this.turn = turn
  }

  static open(path: string): Effect.Effect<AnswerFile, BatchError, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.flatMap(
        attempt(path, () => openFile(path, "a+", 0o600)),
        (handle) => Effect.map(Semaphore.make(1), (turn) => new AnswerFile(path, handle, turn))
      ),
      (file) => Effect.andThen(Effect.ignore(file.sync), Effect.ignore(attempt(path, () => file.handle.close())))
    )
  }

  readonly append = (line: Uint8Array): Effect.Effect<void, BatchError> =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        this.waiting.push(line)
        const number = ++this.added
        return this.turn.withPermits(1)(
          Effect.suspend(() => {
            if (this.failure !== undefined) return Effect.fail(this.failure)
            return this.written >= number ? Effect.void : this.writeAll()
          })
        )
      })
    )

  private writeAll(): Effect.Effect<void, BatchError> {
    const lines = this.waiting
    const last = this.added
    this.waiting = []
    this.isSynced = false
    return attempt(this.path, () =>
      this.handle.appendFile(lines.length === 1 ? (lines[0] ?? "") : Buffer.concat(lines))
    ).pipe(
      Effect.tap(() =>
        Effect.sync(() => {
          this.written = last
        })
      ),
      Effect.tapError((error) =>
        Effect.sync(() => {
          this.failure = error
        })
      )
    )
  }

  readonly truncate = (end: number): Effect.Effect<void, BatchError> =>
    attempt(this.path, () => this.handle.truncate(end))

  readonly sync: Effect.Effect<void, BatchError> = Effect.suspend(() =>
    this.turn.withPermits(1)(
      Effect.suspend(() => {
        if (this.isSynced) return Effect.void
        this.isSynced = true
        return Effect.andThen(
          attempt(this.path, () => this.handle.sync()),
          this.putBack
        )
      })
    )
  )

  /** The name may lead to nothing by now, or to another file: what was written is then still here, and is copied. */
  private readonly putBack: Effect.Effect<void, BatchError> = Effect.suspend(() => {
    const { path } = this
    return Effect.flatMap(
      attempt(path, () => this.handle.stat()),
      ({ dev, ino }) => {
        const there = statSync(path, { throwIfNoEntry: false })
        if (there !== undefined && there.ino === ino && there.dev === dev) return Effect.void
        const target = there === undefined ? path : `${path}.rescued`
        const copy = Effect.acquireUseRelease(
          attempt(target, () => openFile(target, "ax+", 0o600)),
          (to) => this.copyTo(to, target),
          (to) => (there === undefined ? Effect.void : Effect.ignore(attempt(target, () => to.close())))
        )
        return there === undefined
          ? copy
          : Effect.andThen(
              copy,
              Effect.fail(unwritable(path, `another file was put in its place; all answers are in ${target}`))
            )
      }
    )
  })

  private copyTo(to: FileHandle, target: string): Effect.Effect<void, BatchError> {
    const from = this.handle
    const chunk = Buffer.alloc(1 << 20)
    const copy = (at: number): Effect.Effect<void, BatchError> =>
      Effect.flatMap(
        attempt(this.path, () => from.read(chunk, 0, chunk.length, at)),
        ({ bytesRead }) =>
          bytesRead === 0
            ? attempt(target, () => to.sync())
            : Effect.flatMap(
                attempt(target, () => to.appendFile(chunk.subarray(0, bytesRead))),
                () => copy(at + bytesRead)
              )
      )
    return Effect.andThen(
      copy(0),
      Effect.suspend(() => {
        if (target !== this.path) return Effect.void
        this.handle = to
        return Effect.ignore(attempt(target, () => from.close()))
      })
    )
  }
}

/** Runs a promise of Node's. */
const attempt = <A>(path: string, work: () => Promise<A>): Effect.Effect<A, BatchError> =>
  Effect.tryPromise({ try: work, catch: (error) => unwritable(path, error) })

const unwritable = (path: string, error: unknown): BatchError =>
  new BatchError({
    reason: new OutputUnwritable({ path, problem: typeof error === "string" ? error : problemOfNode(error) })
  })
