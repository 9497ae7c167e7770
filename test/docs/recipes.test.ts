/** Every program on the supervisor's page also runs where one job runs at a time. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { type Block, blocksOf, translate } from "../../scripts/check/doctest.ts"
import * as OneSlot from "./oneSlot.ts"
import { read } from "./pages.ts"

const page = "docs/supervisor.md"
const text = read(page)
const folder = join(import.meta.dirname, "../../.test-output")

/** What a program prints differently when there is one slot, by the heading it stands under. */
const differs: Readonly<Record<string, readonly [string, string]>> = {
  "Shut down": [`["nearly done: completed", "endless: cancelled"`, `["endless: cancelled"`],
  "Health and the status line": ["jobs 0/50", "jobs 0/1"],
  "Limits from the environment": ["=> { concurrency: 10", "=> { concurrency: 1"]
}

const headingOf = ({ line }: Block): string =>
  text
    .split("\n")
    .slice(0, line)
    .findLast((above) => above.startsWith("#"))
    ?.replace(/^#+ /, "") ?? ""

/** The block as a module whose supervisors have one slot. */
const withOneSlot = (block: Block): string => {
  const [from, to] = differs[headingOf(block)] ?? ["", ""]
  const code = block.code.join("\n")
  assert.include(code, from)
  return translate({ ...block, code: code.replace(from, to).split("\n") }).replace(
    /"holdfast\/supervisor"/g,
    `"../test/docs/oneSlot.ts"`
  )
}

describe("with a single slot", () => {
  for (const block of blocksOf(page, text).filter(({ info }) => info === "ts run")) {
    it(`${headingOf(block)}, ${page}:${block.line}`, async () => {
      mkdirSync(folder, { recursive: true })
      const file = join(folder, `recipe-${block.line}.ts`)
      writeFileSync(file, withOneSlot(block))
      const before = OneSlot.layers
      await import(file)
      assert.isAbove(OneSlot.layers, before, "no supervisor of this program has a single slot")
    })
  }
})
