/**
 * Makes a folder that only this user can write, for what is run as code: whoever else could write there would run theirs as
 * this user.
 */
import { lstatSync, mkdirSync, realpathSync, type Stats } from "node:fs"
import { homedir } from "node:os"
import { dirname, isAbsolute, join } from "node:path"

/** Where programs keep what can be made again: `$XDG_CACHE_HOME`, else `.cache` in the home folder. */
export const cache = (name: string): string | undefined => {
  const { XDG_CACHE_HOME: named = "" } = process.env
  try {
    return make(join(isAbsolute(named) ? named : join(homedir(), ".cache"), name))
  } catch {
    return undefined // no home folder, no room, a system that is only read
  }
}

/**
 * Gives the folder's real path when it is a folder and no link, is this user's, and nobody else can write it or put another in its
 * place; `undefined` otherwise, and where the system does not tell. Makes it when it is not there.
 */
export const make = (path: string): string | undefined => {
  const me = process.getuid?.()
  if (me === undefined) return undefined
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const folder = lstatSync(path)
  if (!folder.isDirectory() || folder.uid !== me || isWritableByOthers(folder)) return undefined
  const real = realpathSync(path)
  for (let above = dirname(real); ; above = dirname(above)) {
    if (!isKept(lstatSync(above), me)) return undefined
    if (above === dirname(above)) return real
  }
}

const isWritableByOthers = ({ mode }: Stats): boolean => (mode & 0o022) !== 0

/** Whether nobody but this user and the administrator can put another folder into the place of one in it. */
const isKept = (folder: Stats, me: number): boolean =>
  (folder.uid === me || folder.uid === 0) && (!isWritableByOthers(folder) || (folder.mode & 0o1000) !== 0)
