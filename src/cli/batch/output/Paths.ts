/**
 * Finds out which files a run really reads and writes, so that no two of them are one file under two names.
 */
import { Effect } from "effect"
import { lstatSync, realpathSync, statSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { BatchError, Misused, OutputUnwritable, problemOfNode } from "../BatchError.ts"

export interface Paths {
  readonly output: string
  readonly errors: string
}

/** The real paths of the output and errors files. Fails when two of all files are one, and where nothing can be written. */
export const resolve = (given: Paths & { readonly input: string }): Effect.Effect<Paths, BatchError> =>
  Effect.gen(function* () {
    const output = yield* realOf(given.output)
    const errors = yield* realOf(given.errors)
    const input = given.input === "-" ? undefined : idOf(given.input)
    const files = [input, idOf(output), idOf(errors), idOf(`${output}.lock`)].filter((id) => id !== undefined)
    if (new Set(files).size < files.length) {
      return yield* new BatchError({
        reason: new Misused({ problem: "INPUT, --out and --errors must be different files, under all their names" })
      })
    }
    return { output, errors }
  })

/** Follows links. A file that is not there yet is one in a folder that is. */
const realOf = (path: string): Effect.Effect<string, BatchError> =>
  Effect.suspend(() => {
    const fail = (problem: string) => Effect.fail(new BatchError({ reason: new OutputUnwritable({ path, problem }) }))
    try {
      const found = lstatSync(path, { throwIfNoEntry: false })
      if (found === undefined) return Effect.succeed(join(realpathSync(dirname(path)), basename(path)))
      if (found.isSymbolicLink() && statSync(path, { throwIfNoEntry: false }) === undefined) {
        return fail("it is a link to a file that is not there")
      }
      return statSync(path).isFile() ? Effect.succeed(realpathSync(path)) : fail("it is not a file")
    } catch (error) {
      return fail(problemOfNode(error))
    }
  })

/** What a file is, whatever it is called. */
const idOf = (path: string): string | undefined => {
  const found = statSync(path, { throwIfNoEntry: false, bigint: true })
  if (found !== undefined) return `${found.dev}:${found.ino}`
  try {
    return join(realpathSync(dirname(path)), basename(path))
  } catch {
    return undefined
  }
}
