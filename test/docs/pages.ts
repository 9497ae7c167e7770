/** Reads pages of the documentation, and the options in the sources that they have to list. */
import { readFileSync } from "node:fs"
import { assert } from "@effect/vitest"

/** Reads a file of this repository. */
export const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")

/** What stands under a heading of a page, up to the next one of its level or above. */
export const under = (page: string, heading: string): string => {
  const [, marks = ""] = /^(#+) /.exec(heading) ?? []
  const [, text] = page.split(`\n${heading}\n`)
  assert(text !== undefined, `there is no "${heading}"`)
  return text.split(new RegExp(`\n#{1,${marks.length}} `))[0] ?? ""
}

/** The first and the last cell of each row of a table that begins with a name. */
export const rows = (text: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Array.from(text.matchAll(/^\| `(\w+)` \|(?:.*\|)? ([^|]+) \|$/gm), ([, name, last]) => [
      name ?? "",
      unquoted(last ?? "")
    ])
  )

export interface Field {
  readonly name: string
  readonly isOptional: boolean
  readonly comment: string
}

/** The fields of an interface as it stands in the source, each with its comment on one line. */
export const fieldsOf = (file: string, name: string): ReadonlyArray<Field> => {
  const body = new RegExp(`export interface ${name}\\b[^{]*\\{\n(.*?)\n\\}`, "s").exec(read(file))?.[1]
  assert(body !== undefined, `${file} has no interface ${name}`)
  const found = body.matchAll(/^ {2}(?:\/\*\*((?:(?!\*\/).)*)\*\/\s*)?readonly (\w+)(\??):/gms)
  return Array.from(found, ([, comment = "", field = "", mark]) => ({
    name: field,
    isOptional: mark === "?",
    comment: comment.replace(/\s*\n\s*\* ?/g, " ").trim()
  }))
}

export const unquoted = (text: string): string => text.replaceAll("`", "")

/** A default as pages write it. */
export const written = (value: string | number | boolean): string =>
  typeof value === "number" ? value.toLocaleString("en-US") : String(value)
