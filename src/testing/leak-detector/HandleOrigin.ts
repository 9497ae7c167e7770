/**
 * Finds where in a program a handle was made: the first place on the stack that is neither Node's, nor Effect's, nor ours.
 */
import { fileURLToPath } from "node:url"

/** The stack at the moment a handle was made. It is written out when it is asked for. */
export type Stack = Error

/** How many calls are looked at: some ten of Node's stand above that of the program. Each costs time for every handle. */
const depth = 24

/** Takes the present stack. */
export const take = (): Stack => {
  const usual = Error.stackTraceLimit
  Error.stackTraceLimit = depth
  const stack = new Error("handle")
  Error.stackTraceLimit = usual
  return stack
}

/** The place as `/app/src/poll.ts:12:5`; none when no call on the stack is the program's, as of a sleep of Effect's. */
export const of = ({ stack = "" }: Stack): string | undefined => {
  for (const line of stack.split("\n")) {
    const place = /(?:\(|at (?:async )?)((?:file:\/\/|\/|[A-Za-z]:[\\/])[^()]*:\d+:\d+)\)?$/.exec(line)?.[1]
    if (place === undefined) continue
    const path = place.startsWith("file://") ? pathOf(place) : place
    if (!isForeign(path)) return path
  }
  return undefined
}

const pathOf = (place: string): string => {
  const [, url = place, position = ""] = /^(.*?)(:\d+:\d+)$/.exec(place) ?? []
  try {
    return fileURLToPath(url) + position
  } catch {
    return place
  }
}

const isForeign = (path: string): boolean =>
  /[\\/]node_modules[\\/](?:effect|@effect|holdfast)[\\/]/.test(path) || path.startsWith(here)

// The folder of what is tested with, wherever it is installed.
const here = fileURLToPath(new URL(".", import.meta.url))
