/**
 * Checks that `test/` mirrors `src/`: a test stands where its source stands.
 *
 * `test/policy/rate-limit/Headers.test.ts` is of `src/policy/rate-limit/Headers.ts`. More words after the source's name say
 * what about it is tested (`CircuitBreakerRedis.test.ts`); a name in lower case is a behaviour of the whole folder
 * (`cancellation.test.ts`).
 */
import { posix } from "node:path"

/** Folders of tests that are of no one place in `src/`. */
export const others = ["contracts", "docs", "laws", "sockets"]

/** Says which tests stand where no source does. Both lists are paths from the repository's root. */
export const mirrorViolations = (
  tests: ReadonlyArray<string>,
  sources: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const namesIn = Map.groupBy(sources, posix.dirname)
  return tests.flatMap((path) => {
    const [, top = "", ...deeper] = path.split("/")
    if (deeper.length === 0 || others.includes(top)) return []
    const folder = posix.dirname(path).replace(/^test/, "src")
    const names = namesIn.get(folder)
    const isFolder = names !== undefined || sources.some((source) => source.startsWith(`${folder}/`))
    if (!isFolder) return [`${path}: there is no ${folder}/`]
    const name = posix.basename(path)
    const isOfOne = /^[A-Z].*\.test\.ts$/.test(name)
    return !isOfOne || names?.some((source) => name.startsWith(posix.basename(source, ".ts")))
      ? []
      : [`${path}: ${folder}/ has no file that this is the test of`]
  })
}
