import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as policies from "holdfast/policy"

const folder = new URL("../../docs/policies/", import.meta.url)
const read = (page: string) => readFileSync(new URL(page, folder), "utf8")

const headings = [
  "What for",
  "Example",
  "Options and defaults",
  "Where in the stack",
  "What you see when it acts",
  "Mistakes"
]

/** The rows of the options table: the option's name and its default, as written. */
const defaultsIn = (page: string) =>
  Object.fromEntries(
    Array.from(page.matchAll(/^\| `(\w+)` \|.*\| ([^|]+) \|$/gm), ([, name, value]) => [name ?? "", value ?? ""])
  )

const written = (value: string | number | boolean) =>
  typeof value === "number" ? value.toLocaleString("en-US") : String(value)

describe("the page of each policy", () => {
  it("exists, and there is none without a policy", () => {
    assert.deepStrictEqual(
      readdirSync(folder).sort(),
      Object.keys(policies)
        .map((name) => `${name.toLowerCase()}.md`)
        .sort()
    )
  })

  it.each(readdirSync(folder))("%s has the fixed headings in order", (page) => {
    assert.deepStrictEqual(
      Array.from(read(page).matchAll(/^## (.+)$/gm), ([, heading]) => heading),
      headings
    )
  })

  it.each(Object.entries(policies).filter(([, policy]) => "defaults" in policy))(
    "of %s states the defaults of the code",
    (policy, module) => {
      const stated = defaultsIn(read(`${policy.toLowerCase()}.md`))
      const { defaults } = module as { readonly defaults: Readonly<Record<string, string | number | boolean>> }
      for (const [name, value] of Object.entries(defaults)) assert.strictEqual(stated[name], written(value), name)
    }
  )
})
