/**
 * Copies the sources, with one text in them replaced, to where they can be imported beside the originals.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { Supervisor } from "holdfast/supervisor"
import type { SupervisorLaws } from "holdfast/testing"
import type { Mutant } from "./mutants.ts"

const root = join(import.meta.dirname, "../../..")
const copies = join(root, ".test-output")

/** A copy's supervisor, and the laws that belong to it. */
export interface Copy {
  readonly make: typeof Supervisor.make
  readonly laws: typeof SupervisorLaws
}

/** Makes a copy, changed when there is a mutant. Throws when the mutant's text is not there exactly once. */
export const makeCopy = async (name: string, mutant?: Mutant): Promise<Copy> => {
  const load = copySources(join("mutants", name), ["core", "supervisor", "testing"], mutant, "supervisor")
  const [supervisor, laws] = await Promise.all([
    load<typeof Supervisor>("supervisor/Supervisor.ts"),
    load<typeof SupervisorLaws>("testing/SupervisorLaws.ts")
  ])
  return { make: supervisor.make, laws }
}

/**
 * Copies folders of the sources to below .test-output, with a mutant's text replaced; its file is looked for in `within`.
 * Gives what imports a file of the copy.
 */
export const copySources = (
  name: string,
  folders: ReadonlyArray<string>,
  mutant: Mutant | undefined,
  within = ""
): (<Module>(file: string) => Promise<Module>) => {
  const target = join(copies, name)
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  for (const folder of folders) cpSync(join(root, "src", folder), join(target, folder), { recursive: true })
  if (mutant !== undefined) {
    const file = join(target, within, mutant.file)
    writeFileSync(file, mutate(readFileSync(file, "utf8"), mutant))
  }
  return (file) => import(pathToFileURL(join(target, file)).href)
}

/** Removes copies: all below this name. */
export const removeCopies = (name: string): void => rmSync(join(copies, name), { recursive: true, force: true })

/** Replaces a mutant's text. Throws when it is not there exactly once: the mutant has to be brought up to date then. */
export const mutate = (source: string, { fault, file, replace, search }: Mutant): string => {
  const found = source.split(search).length - 1
  if (found !== 1) throw new Error(`mutant "${fault}": its text is ${found} times in ${file}`)
  return source.replace(search, () => replace)
}
