/**
 * Loads the sources with one text in them replaced, beside the originals.
 *
 * Only the file that is changed is loaded anew, and those that import it, however far off: the others have no part in the
 * fault, and to load all would take most of a test's time.
 */
import { readdirSync, readFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import type { Supervisor } from "holdfast/supervisor"
import type { SupervisorLaws } from "holdfast/testing"
import type { Mutant } from "./mutants.ts"

const sources = join(import.meta.dirname, "../../../src")

/** A copy's supervisor, and the laws that belong to it. */
export interface Copy {
  readonly make: typeof Supervisor.make
  readonly laws: typeof SupervisorLaws
}

/** Makes a copy, changed when there is a mutant. Throws when the mutant's text is not there exactly once. */
export const makeCopy = async (mutant?: Mutant): Promise<Copy> => {
  const load = copyOf(mutant, "supervisor")
  const [supervisor, laws] = await Promise.all([
    load<typeof Supervisor>("supervisor/Supervisor.ts"),
    load<typeof SupervisorLaws>("testing/SupervisorLaws.ts")
  ])
  return { make: supervisor.make, laws }
}

/** The copies by their number: which files of each are its own, and what is written in the one that is changed. */
const copies: Array<{
  readonly own: ReadonlySet<string>
  readonly changed: string | undefined
  readonly text: string
}> = []

/** Gives what loads a file of a copy, named from `src`; the mutant's file is named from `within`. */
export const copyOf = (mutant: Mutant | undefined, within = ""): (<Module>(file: string) => Promise<Module>) => {
  const changed = mutant === undefined ? undefined : join(sources, within, mutant.file)
  const text = mutant === undefined || changed === undefined ? "" : mutate(readFileSync(changed, "utf8"), mutant)
  const number = copies.push({ own: changed === undefined ? new Set() : importersOf(changed), changed, text }) - 1
  return (file) => import(`${pathToFileURL(join(sources, file)).href}?copy=${number}`)
}

registerHooks({
  resolve: (specifier, context, next) => {
    const number = numberOf(context.parentURL)
    const found = next(specifier, context)
    const isOwn =
      number !== undefined && found.url.startsWith("file:") && copies[number]?.own.has(fileURLToPath(found.url))
    return isOwn === true ? { ...found, url: `${found.url}?copy=${number}` } : found
  },
  load: (url, context, next) => {
    const { changed, text } = copies[numberOf(url) ?? -1] ?? {}
    const loaded = next(url, context)
    return changed !== undefined && fileURLToPath(url) === changed ? { ...loaded, source: text } : loaded
  }
})

const numberOf = (url: string | undefined): number | undefined => {
  const number = /\?copy=(\d+)$/.exec(url ?? "")?.[1]
  return number === undefined ? undefined : Number(number)
}

/** The files from which a file is reached, itself among them. */
const importersOf = (file: string): ReadonlySet<string> => {
  const found = new Set([file])
  for (const each of found) for (const importer of importers.get(each) ?? []) found.add(importer)
  return found
}

const files = readdirSync(sources, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))

/** The files that name each file. */
const importers = new Map<string, Array<string>>()
for (const file of files.map((name) => join(sources, name))) {
  for (const [, name = ""] of readFileSync(file, "utf8").matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g)) {
    const imported = join(dirname(file), name)
    importers.set(imported, [...(importers.get(imported) ?? []), file])
  }
}

/** Replaces a mutant's text. Throws when it is not there exactly once: the mutant has to be brought up to date then. */
export const mutate = (source: string, { fault, file, replace, search }: Mutant): string => {
  const found = source.split(search).length - 1
  if (found !== 1) throw new Error(`mutant "${fault}": its text is ${found} times in ${file}`)
  return source.replace(search, () => replace)
}
