import { existsSync, globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import type { JobEvent } from "holdfast/core"
import { mayImport } from "../../scripts/check/architecture.ts"
import { read, under } from "./pages.ts"

const root = join(import.meta.dirname, "../..")
const page = read("docs/architecture.md")
const folders = globSync("src/*/index.ts", { cwd: root }).map((path) => path.split("/")[1] ?? "")

/** Every folder and file that a text names as code. */
const pathsIn = (text: string) =>
  Array.from(text.matchAll(/`([\w.-]+\/[\w./-]*|[\w-]+\.(?:ts|md))`/g), ([, path = ""]) => path).filter(
    (path) => path.endsWith("/") || /\.(ts|md)$/.test(path)
  )

/** Those that are not there, files with the letters and capitals they are named with. */
const missing = (paths: ReadonlyArray<string>) => {
  const there = new Set(globSync("{src,test,docs,scripts,bench}/**/*.{ts,md}", { cwd: root }))
  return paths.filter((path) => (path.endsWith("/") ? !existsSync(join(root, path)) : !there.has(path)))
}

/** The cells of each row of the table below a heading. */
const table = (heading: string) =>
  under(page, heading)
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .slice(1)
    .map((line) => line.split("|").map((cell) => cell.trim()))

describe("the index of each folder", () => {
  it.each(folders)("of %s says what stands where, as it is", (folder) => {
    const [comment = ""] = read(`src/${folder}/index.ts`).split("*/")
    const stale = pathsIn(comment).filter(
      (path) => ![`src/${folder}/${path}`, `src/${path}`].some((place) => missing([place]).length === 0)
    )
    assert.isAbove(pathsIn(comment).length, 3)
    assert.match(comment, /^\/\*\*\n \* [A-Z]\w+: /)
    assert.deepStrictEqual(stale, [])
  })
})

describe("the page of the architecture", () => {
  it("names folders and files that are there", () => {
    assert.isAbove(pathsIn(page).length, 100)
    assert.deepStrictEqual(missing(pathsIn(page)), [])
  })

  it("names no file that is only written differently, and no folder that is gone", () => {
    const wrong = ["src/core/call/caller.ts", "src/core/line/", "src/policy/Gate.ts"]
    assert.deepStrictEqual(
      missing(pathsIn("`src/core/`, `src/core/call/caller.ts`, `src/core/line/`, `src/policy/Gate.ts`")),
      wrong
    )
  })

  it("has each folder of src/, and each folder in it", () => {
    const rows = table("## The folders")
    assert.sameMembers(
      rows.map(([, folder = ""]) => folder.replaceAll("`", "")),
      folders.map((folder) => `src/${folder}/`)
    )
    for (const [, folder = "", , inside = ""] of rows) {
      const there = globSync(`${folder.replaceAll("`", "")}*/`, { cwd: root, withFileTypes: true })
      const names = there
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => `${folder.replaceAll("`", "")}${name}/`)
      assert.sameMembers([...pathsIn(inside)], names)
    }
  })

  it("draws the states that a job has", () => {
    const states: Readonly<Record<JobEvent.JobState, true>> = {
      pending: true,
      running: true,
      completed: true,
      failed: true,
      cancelled: true
    }
    const [, diagram = ""] = under(page, "## The life of a job").split("```mermaid")
    const drawn = Array.from(diagram.matchAll(/^ {2}(\w+) -->|--> (\w+)/gm), ([, from, to]) => from ?? to)
    assert.sameMembers([...new Set(drawn)], Object.keys(states))
  })

  it("has the table of imports that is enforced", () => {
    const stated = table("## Who may import whom").map(([, folder = "", may = ""]) => [
      folder,
      may.split(", ").filter((name) => name !== "")
    ])
    assert.deepStrictEqual(Object.fromEntries(stated), mayImport)
  })

  it.each(["## The life of a call", "## The life of a job"])("tells %s in ten steps, beside a diagram", (heading) => {
    const text = under(page, heading)
    assert.include(text, "```mermaid")
    assert.strictEqual(text.match(/^\d+\. /gm)?.length, 10)
  })

  it("says where each word of ours is defined, in the order of the alphabet", () => {
    const words = table("## Glossary")
    for (const [, word, , path = ""] of words) assert.deepStrictEqual(pathsIn(path).length, 1, word)
    const names = words.map(([, word = ""]) => word)
    assert.deepStrictEqual(names, names.toSorted())
  })

  it("is linked from the README and from CONTRIBUTING", () => {
    for (const from of ["README.md", "CONTRIBUTING.md"]) {
      assert.include(readFileSync(join(root, from), "utf8"), "](docs/architecture.md)", from)
    }
  })
})
