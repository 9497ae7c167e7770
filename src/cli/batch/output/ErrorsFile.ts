/**
 * Keeps the failures of a run: a file that each run writes anew, once it has begun.
 */
import { Effect, Stream } from "effect"
import { bufferOf } from "../input/Bytes.ts"
import type { Scope } from "effect"
import { closeSync, existsSync, openSync, rmSync, writeSync } from "node:fs"
import { BatchError, OutputForeign, OutputUnwritable, problemOfNode } from "../BatchError.ts"
import * as IdSet from "../input/IdSet.ts"
import * as Lines from "../input/Lines.ts"
import { linesOf } from "./OutputFile.ts"
import * as ResultLine from "./ResultLine.ts"

export interface ErrorsFile {
  /** Removes what the last run left, if it has not been yet: the server has said something. */
  readonly begin: Effect.Effect<void, BatchError>
  /** Writes a failure. `isLocal` is one that no server had to do with: it waits until the run has begun. */
  readonly append: (line: Uint8Array, isLocal: boolean) => Effect.Effect<void, BatchError>
}

/** Local failures that wait for the run to begin; more of them begin it. */
const mostWaiting = 1_000

/**
 * Makes sure that what is there is the errors file of an earlier run, each line of it, and marks its ids as failed. Nothing is
 * removed before the run has begun, so that a run which cannot start leaves what it found.
 */
export const open = (path: string, ids: IdSet.IdSet): Effect.Effect<ErrorsFile, BatchError, Scope.Scope> =>
  Effect.gen(function* () {
    yield* recognise(path, ids)
    let file: number | undefined
    let hasBegun = false
    let waiting: Array<Uint8Array> = []
    yield* Effect.addFinalizer(() => Effect.sync(() => (file === undefined ? undefined : closeSync(file))))
    const write = (lines: ReadonlyArray<Uint8Array>) =>
      Effect.try({
        try: () => {
          if (lines.length === 0) return
          file ??= openSync(path, "ax", 0o600)
          const bytes = Buffer.concat(lines)
          for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at)
        },
        catch: (error) => unwritable(path, error)
      })
    // All that fail at once wait for the one who begins.
    const begin = yield* Effect.cached(
      Effect.suspend(() => {
        hasBegun = true
        const lines = waiting
        waiting = []
        // Looked at again: hours may lie between.
        return Effect.andThen(recognise(path, undefined), remove(path)).pipe(Effect.andThen(write(lines)))
      })
    )
    return {
      begin,
      append: (line, isLocal) =>
        Effect.suspend(() => {
          if (!hasBegun && isLocal && waiting.length < mostWaiting) {
            waiting.push(line)
            return Effect.void
          }
          return Effect.andThen(begin, write([line]))
        })
    }
  })

/** Marks the ids of an errors file as failed, and changes nothing. Fails for a file that was not written here. */
export const markFailed = (path: string, ids: IdSet.IdSet): Effect.Effect<void, BatchError> => recognise(path, ids)

const remove = (path: string) =>
  Effect.try({ try: () => rmSync(path, { force: true }), catch: (error) => unwritable(path, error) })

/** Fails unless every line was written here. The last one may be cut, as when its run was killed. */
const recognise = (path: string, ids: IdSet.IdSet | undefined): Effect.Effect<void, BatchError> =>
  Effect.suspend(() => {
    if (!existsSync(path)) return Effect.void
    return Stream.runForEach(linesOf(path), (line) => {
      const kind: ResultLine.Kind =
        line.problem === undefined ? ResultLine.kindOf(bufferOf(line.bytes)) : { kind: "other" }
      if (kind.kind === "failure") {
        ids?.mark(kind.customId, IdSet.failed)
        return Effect.void
      }
      const isCut =
        kind.kind === "other" &&
        !line.terminated &&
        (ResultLine.isBeginning(bufferOf(line.bytes)) || Lines.isBlank(line))
      return isCut ? Effect.void : Effect.fail(new BatchError({ reason: new OutputForeign({ path }) }))
    })
  })

const unwritable = (path: string, error: unknown): BatchError =>
  new BatchError({ reason: new OutputUnwritable({ path, problem: problemOfNode(error) }) })
