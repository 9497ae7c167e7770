import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { blocksOf, problemsOf, translate, type Block } from "../../scripts/check/doctest.ts"

const output = join(import.meta.dirname, "../../.test-output")

const block = (code: string, info = "ts run"): Block => ({
  file: "a.md",
  line: 1,
  info,
  code: code.split("\n"),
  closed: true
})

/** Runs a block as the test command would. */
const run = async (name: string, code: string): Promise<void> => {
  mkdirSync(output, { recursive: true })
  const path = join(output, `doctest-${name}.ts`)
  writeFileSync(path, translate(block(code)))
  await import(path)
}

describe("finding blocks", () => {
  it("reads a Markdown fence with its line and info", () => {
    expect(blocksOf("a.md", "text\n\n```ts run\n1\n2\n```\n```sh\nls\n```")).toEqual([
      { file: "a.md", line: 3, info: "ts run", code: ["1", "2"], closed: true },
      { file: "a.md", line: 7, info: "sh", code: ["ls"], closed: true }
    ])
  })

  it("takes a longer fence as one block, whatever is inside", () => {
    expect(blocksOf("a.md", "````md\n```ts\n1\n```\n````").map((found) => found.info)).toEqual(["md"])
  })

  it("removes the indent of a fence in a list", () => {
    expect(blocksOf("a.md", "- item\n  ```ts run\n  if (a) {\n    b()\n  }\n  ```")[0]?.code).toEqual([
      "if (a) {",
      "  b()",
      "}"
    ])
  })

  it("reads doc comments, and nothing else, of a TypeScript file", () => {
    const source =
      "/**\n * Says it.\n *\n * ```ts run\n * a(\n *   1\n * )\n * ```\n */\nconst b = `\n```ts\n`\n// ```ts"
    expect(blocksOf("a.ts", source)).toEqual([
      { file: "a.ts", line: 4, info: "ts run", code: ["a(", "  1", ")"], closed: true }
    ])
  })
})

describe("running blocks", () => {
  it("passes when every assertion holds, through imports, top-level await and Effect's equality", () =>
    run(
      "good",
      `import { Effect, Option } from "effect"
import { PolicyReason } from "holdfast/core"

const one = Promise.resolve(1)
one // => 1
await one // => 1
const two = (await one) + 1 // => 2
Option.map(
  Option.some(two),
  (n) => n + 1
) // => Option.some(3)
;[Option.some("text"), { a: [1] }] // => [Option.some("text"), { a: [1] }]
PolicyReason.of("no error")
// => Option.none()
const program = Effect.gen(function* () {
  yield* Effect.succeed(4) // => 4
  return "done"
})
Effect.runPromise(program) // => "done"`
    ))

  it.each([
    ["value", "1 + 1 // => 3"],
    ["promise", "Promise.resolve(1) // => 2"],
    ["option", `import { Option } from "effect"\nOption.some(1) // => Option.some(2)`],
    ["none", `import { Option } from "effect"\nOption.none() // => Option.some(undefined)`],
    ["duration", `import { Duration } from "effect"\nDuration.seconds(1) // => Duration.seconds(2)`],
    ["nested", `import { Option } from "effect"\n;[{ a: Option.some(1) }] // => [{ a: Option.some(2) }]`],
    ["declaration", "const a = 1 // => 2"],
    ["several-lines", `Math.max(\n  1,\n  2\n) // => 1`],
    ["operator", "1 +\n  1 // => 1"],
    ["own-line", `"a"\n// => "b"`],
    [
      "in-effect",
      `import { Effect } from "effect"\nEffect.runSync(Effect.gen(function* () {\n  yield* Effect.succeed(1) // => 2\n}))`
    ],
    ["effect-not-run", `import { Effect } from "effect"\nEffect.succeed(1) // => 1`]
  ])("fails when an assertion is wrong: %s", async (name, code) => {
    await expect(run(name, code)).rejects.toMatchObject({
      name: "AssertionError",
      message: expect.stringMatching(/^a\.md:\d+/)
    })
  })

  it("fails when an assertion never ran", async () => {
    await expect(run("never", "const later = () => {\n  1 + 1 // => 2\n}")).rejects.toThrow("a.md:3 never ran")
  })

  it("keeps the block's line numbers", () => {
    const lines = translate({ ...block("const a = 1\nconst b = 2 // => 2"), line: 7 }).split("\n")
    expect(lines[7]).toBe("const a = 1")
    expect(lines[8]).toMatch(/^const b = 2; __block\.is\(9,/)
  })
})

describe("refusing blocks", () => {
  const problems = (code: string, info: string) => problemsOf(block(code, info), new Set(["start", "bench"]))

  it.each(["ts", "typescript", "js", "tsx", "ts no-run"])("refuses an unexecuted block: %s", (info) => {
    expect(problems("1", info)).toEqual([`unexecuted code block at a.md:1: mark it "ts run"`])
  })

  it("refuses a fence without a language, and one that never ends", () => {
    expect(problems("1", "")).toEqual(["code block without a language at a.md:1"])
    expect(blocksOf("a.md", "```sh\nls").flatMap((open) => problemsOf(open, new Set()))).toEqual([
      "code block never closed at a.md:1"
    ])
  })

  it("refuses an assertion without an expression", () => {
    expect(problems("return 1 // => 1\n", "ts run").join()).toContain("a.md:2")
    expect(problems("f(\n  1 // => 1\n)", "ts run").join()).toContain("a.md:3")
  })

  it.each(["npm run nothing", "$ npm test", "CI=1 npm run nothing -- x", "node no/such/file.ts"])(
    "refuses a command that is not there: %s",
    (command) => {
      expect(problems(`npm start\n${command}`, "sh").join()).toMatch(/no such .* at a\.md:3/)
    }
  )

  it.each([
    "npm ci && npm start",
    "npm run bench -- batch",
    "node scripts/check/doctest.ts",
    "curl -s http://127.0.0.1"
  ])("accepts a command that is there: %s", (command) => {
    expect(problems(command, "sh")).toEqual([])
  })

  it.each(["json", "text", "mermaid", "jsonc"])("leaves other languages alone: %s", (info) => {
    expect(problems("x", info)).toEqual([])
  })
})
