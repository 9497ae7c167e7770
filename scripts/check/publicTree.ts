/**
 * Checks that the tree of `src/` says what is public and what is not.
 *
 * 1. What stands directly in a folder of `src/` is public and in that folder's index; nothing else is.
 * 2. A folder `x-y/` beside `XY.ts` is the inside of that file: only `XY.ts` and the folder itself import it. A folder that
 *    bears no neighbour's name is shared by its neighbours, and nobody outside the parent imports it.
 */
import { posix } from "node:path"
import { importsOf, type SourceFile } from "./architecture.ts"

/** The ground of the house: its folders are open to all others. */
const ground = "core"
/** Folders whose index says what is public, wherever it stands: the ground, and commands, which are folders of several files. */
const indexDecides = [ground, "cli"]
/** A program that a process starts with. It is in no index, and nobody imports it. */
const program = "main.ts"

/** Says, one line each, which files of `src/` break which of the two rules. */
export const treeViolations = (files: ReadonlyArray<SourceFile>): ReadonlyArray<string> => {
  const imports = files.flatMap(({ path, source }) =>
    importsOf(source).flatMap((specifier) =>
      specifier?.startsWith(".") ? [{ from: path, to: posix.join(posix.dirname(path), specifier) }] : []
    )
  )
  const paths = files.map(({ path }) => path)
  const isInIndex = (path: string, top: string) =>
    imports.some(({ from, to }) => from === `src/${top}/index.ts` && to === path)
  const unlisted = paths.flatMap((path) => {
    const [, top = "", name = "", ...deeper] = path.split("/")
    const isExempt = top === ground || name === "" || deeper.length > 0 || [program, "index.ts"].includes(name)
    return isExempt || isInIndex(path, top) ? [] : [`${path}: stands in ${top}/, but not in its index`]
  })
  const entered = imports.flatMap(({ from, to }) => {
    if (posix.basename(to) === program) return [`${from}: ${inSrc(to)} is a program, and no module`]
    const [, top = "", name] = from.split("/")
    if (name !== "index.ts") return privateTo(from, to, paths)
    if (indexDecides.includes(top)) return []
    const isPublic = to.split("/").length === 3 || isInIndex(to, ground)
    return isPublic ? [] : [`${from}: ${inSrc(to)} is not public, by where it stands`]
  })
  return [...unlisted, ...entered]
}

/** Which folder on the way to a file is closed to whoever imports it, if any. */
const privateTo = (from: string, to: string, paths: ReadonlyArray<string>): ReadonlyArray<string> => {
  const parts = to.split("/")
  const open = parts[1] === ground ? 3 : 2
  for (let length = open + 1; length < parts.length; length++) {
    const folder = parts.slice(0, length).join("/")
    if (from.startsWith(`${folder}/`)) continue
    const parent = posix.dirname(folder)
    const owner = paths.find((path) => posix.dirname(path) === parent && kebab(path) === posix.basename(folder))
    if (owner === from || (owner === undefined && from.startsWith(`${parent}/`))) continue
    const whose = owner === undefined ? `${inSrc(parent)}/` : inSrc(owner)
    return [`${from}: ${inSrc(to)} is private to ${whose}`]
  }
  return []
}

/** `ai-sdk-error` of `src/provider/AiSdkError.ts`. */
const kebab = (path: string): string =>
  posix
    .basename(path, ".ts")
    .replace(/(?<=[a-z0-9])(?=[A-Z])/g, "-")
    .toLowerCase()

const inSrc = (path: string): string => path.slice("src/".length)
