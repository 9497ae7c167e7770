import { existsSync, globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { exportViolations, importsOf, sourceViolations, testViolations } from "../scripts/check/architecture.ts"
import { treeViolations } from "../scripts/check/publicTree.ts"
import { mirrorViolations, others } from "../scripts/check/testTree.ts"
import { mayReadWallClock, wallClockViolations } from "../scripts/check/wallClock.ts"

const root = join(import.meta.dirname, "..")

const read = (pattern: string) =>
  globSync(pattern, { cwd: root }).map((path) => ({ path, source: readFileSync(join(root, path), "utf8") }))

describe("this repository", () => {
  const sources = read("src/**/*.ts")
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

  it("keeps the rules of the house in src/", () => {
    expect(sources.length).toBeGreaterThan(5)
    expect(sourceViolations(sources)).toEqual([])
  })

  it("reads the wall clock only where a date is meant", () => {
    expect(wallClockViolations(sources)).toEqual([])
  })

  it("says by its tree what is public", () => {
    expect(treeViolations(sources)).toEqual([])
  })

  it("has its tests where their sources are", () => {
    for (const folder of others) expect(existsSync(join(root, "test", folder)), folder).toBe(true)
    const tests = globSync("test/**/*.test.ts", { cwd: root })
    expect(tests.length).toBeGreaterThan(3)
    expect(
      mirrorViolations(
        tests,
        sources.map(({ path }) => path)
      )
    ).toEqual([])
  })

  it("names its scripts as it names its benches, in folders by purpose", () => {
    const files = globSync("{scripts,bench}/**/*.ts", { cwd: root })
    expect(files.filter((path) => !/^(?:scripts\/[a-z]+|bench(?:\/[a-z]+)?)\/[a-z][A-Za-z]*\.ts$/.test(path))).toEqual(
      []
    )
  })

  it("has a bench in each file directly in bench/, beside what runs them, and none deeper", () => {
    const isBench = (source: string) => /^export (?:const|async function) run\b/m.test(source)
    const others = read("bench/*.ts").filter(({ source }) => !isBench(source))
    expect(others.map(({ path }) => path)).toEqual(["bench/run.ts"])
    expect(read("bench/*/**/*.ts").filter(({ source }) => isBench(source))).toEqual([])
  })

  it("exports each folder that has an index, and no other", () => {
    expect(exportViolations(sources, manifest.exports)).toEqual([])
  })

  it("has the commands it promises", () => {
    for (const target of Object.values<string>(manifest.bin)) {
      expect(existsSync(join(root, target.replace("./dist/", "src/").replace(/\.js$/, ".ts"))), target).toBe(true)
    }
  })

  it("switches no test off and runs none alone", () => {
    const tests = read("test/**/*.ts")
    expect(tests.length).toBeGreaterThan(3)
    expect(testViolations(tests.filter(({ path }) => path !== "test/architecture.test.ts"))).toEqual([])
  })
})

describe("the rule for the wall clock", () => {
  const needed = Object.keys(mayReadWallClock).map((path) => ({
    path: path.endsWith("/") ? `${path}A.ts` : path,
    source: "clock.currentTimeMillisUnsafe()"
  }))

  it.each([
    "clock.currentTimeMillisUnsafe()",
    "Clock.currentTimeMillis",
    "Clock.currentTimeNanos",
    "Date.now()",
    "new Date()"
  ])("names a file that reads it by %s", (source) => {
    const [violation] = wallClockViolations([...needed, { path: "src/policy/Retry.ts", source }])
    expect(violation).toContain("src/policy/Retry.ts reads the wall clock")
  })

  it("names a reason that nothing needs any longer, and accepts the rest", () => {
    expect(wallClockViolations([...needed, { path: "src/policy/Retry.ts", source: "// not Date.now()" }])).toEqual([])
    expect(wallClockViolations(needed.slice(1))).toEqual([
      "mayReadWallClock names src/core/Monotonic.ts, which does not read it"
    ])
  })
})

describe("the rules for sources", () => {
  /** Violations of `src/policy/Retry.ts` with this source, or of another path, among a few innocent files. */
  const check = (source: string, path = "src/policy/Retry.ts") =>
    sourceViolations([
      { path: "src/core/call/Usage.ts", source: "export const a = 1" },
      { path: "src/core/call/ModelProvider.ts", source: "export interface ModelProvider {}" },
      { path: "src/core/call/RecordedAttempts.ts", source: "export const a = 1" },
      { path: "src/provider/AiSdk.ts", source: `import "node:http"\nimport { a } from "@ai-sdk/provider"` },
      { path: "src/model/Model.ts", source: `import { Effect } from "effect"` },
      { path: "src/testing/LeakDetector.ts", source: `import type { AiError } from "effect/ai"` },
      { path: "src/testing/FaultyServer.ts", source: "" },
      { path: "src/server/Http.ts", source: "" },
      { path, source }
    ])

  it.each([
    [`import { a } from "../core/call/Usage.ts"`, "src/policy/Retry.ts"],
    [`import type { ModelProvider } from "../core/call/ModelProvider.ts"`, "src/policy/Retry.ts"],
    [`import { a } from "../core/call/RecordedAttempts.ts"`, "src/policy/Retry.ts"],
    [`import { Effect } from "effect"\nimport { AiError } from "effect/ai"`, "src/core/Errors.ts"],
    [`import { NodeRuntime } from "@effect/platform-node"`, "src/testing/Runner.ts"],
    [`/** Keys. */\nimport { hash } from "node:crypto"\nimport { Effect } from "effect"`, "src/core/call/Key.ts"],
    [`import { a } from "../testing/FaultyServer.ts"`, "src/cli/Serve.ts"],
    [`import { a } from "../server/Http.ts"\nimport { b } from "ai"\nimport "node:fs"`, "src/cli/main.ts"],
    [
      `// import { a } from "ai"\n/* import "ai" */\n/** from "ai" */\nconst url = "https://a.b" // "`,
      "src/core/Url.ts"
    ],
    [`/** Core. */\nexport * from "./core/call/Usage.ts"\nexport * as M from "./model/Model.ts"`, "src/index.ts"],
    [`export {\n  a,\n  b\n} from "./call/Usage.ts"\nexport type { C } from "./call/Usage.ts"`, "src/core/index.ts"]
  ])("accept %j in %s", (source, path) => {
    expect(check(source, path)).toEqual([])
  })

  it.each([
    [`import { a } from "../provider/AiSdk.ts"`, "src/policy/Retry.ts", "policy may not import provider/AiSdk.ts"],
    [`import type { a } from "../model/Model.ts"`, "src/policy/Retry.ts", "policy may not import model/Model.ts"],
    [`import {\n  a,\n  b\n} from "../model/Model.ts"`, "src/core/A.ts", "core may not import model/Model.ts"],
    [`export * from "../model/Model.ts"`, "src/core/A.ts", "core may not import model/Model.ts"],
    [`export type * as M from "../model/Model.ts"`, "src/core/A.ts", "core may not import model/Model.ts"],
    [`const m = await import("../model/Model.ts")`, "src/core/A.ts", "core may not import model/Model.ts"],
    [`type M = import("../model/Model.ts").M`, "src/core/A.ts", "core may not import model/Model.ts"],
    [`import "../model/Model.ts"`, "src/core/A.ts", "core may not import model/Model.ts"],
    [`import { a } from "../testing/LeakDetector.ts"`, "src/cli/main.ts", "cli may not import testing/LeakDetector.ts"],
    [`export * from "./testing/LeakDetector.ts"`, "src/index.ts", "index.ts may not import testing/LeakDetector.ts"],
    [`import { a } from "../server/Http.ts"`, "src/model/B.ts", "model may not import server/Http.ts"],
    [`import { a } from "../../test/a.ts"`, "src/core/A.ts", "../../test/a.ts is not a file of src/"],
    [`import { a } from "./Missing.ts"`, "src/core/A.ts", "./Missing.ts is not a file of src/"],
    [`import { a } from "./call/Usage.js"`, "src/core/A.ts", "./call/Usage.js is not a file of src/"],
    [`import { a } from "holdfast/core"`, "src/model/A.ts", "import holdfast/core by its relative path"],
    [`import(name)`, "src/core/A.ts", "computed import"],
    ["import(`./${name}.ts`)", "src/core/A.ts", "computed import"],
    [`import { a } from "ai"`, "src/policy/Retry.ts", "policy may not import ai"],
    [`import { a } from "effects"`, "src/core/A.ts", "core may not import effects"],
    [`import { a } from "ai"`, "src/testing/A.ts", "testing may not import ai"],
    [`import { a } from "node:fs"`, "src/core/A.ts", "core may not import node:fs"],
    [`import type { a } from "node:fs"`, "src/supervisor/A.ts", "supervisor may not import node:fs"],
    [`import { randomBytes } from "node:crypto"`, "src/core/A.ts", "core may not import node:crypto"],
    [`import { hash, randomUUID } from "node:crypto"`, "src/core/A.ts", "core may not import node:crypto"],
    [
      `import { a } from "../testing/FaultyServer.ts"`,
      "src/model/A.ts",
      "model may not import testing/FaultyServer.ts"
    ],
    [`import { a } from "../server/Http.ts"`, "src/testing/A.ts", "testing may not import server/Http.ts"],
    [``, "src/billing/A.ts", "DESIGN knows no src/billing"],
    [``, "src/core/utils.ts", `"utils" says nothing`],
    [``, "src/core/internal/A.ts", `"internal" says nothing`],
    [``, "src/core/Manager.ts", `"Manager" says nothing`],
    [``, "src/core/Job.types.ts", `"types" says nothing`],
    [`export * from "./call/Usage.ts"\nexport const a = 1`, "src/core/index.ts", "contains only re-exports"],
    [`import { a } from "./call/Usage.ts"\nexport { a }`, "src/core/index.ts", "contains only re-exports"],
    [`export const a = 1`, "src/index.ts", "contains only re-exports"],
    ["a\n".repeat(350), "src/core/Long.ts", "350 lines"]
  ])("refuse %j in %s", (source, path, message) => {
    expect(check(source, path)).toEqual([expect.stringContaining(message)])
    expect(check(source, path)[0]).toContain(path)
  })

  it("refuse cycles, through types too, once each", () => {
    const files = [
      { path: "src/core/C.ts", source: `import type { a } from "./A.ts"` },
      { path: "src/core/A.ts", source: `import { b } from "./B.ts"` },
      { path: "src/core/B.ts", source: `export * from "./C.ts"` },
      { path: "src/core/D.ts", source: `import { a } from "./A.ts"` },
      { path: "src/core/Self.ts", source: `import { a } from "./Self.ts"` }
    ]
    expect(sourceViolations(files)).toEqual([
      "import cycle: src/core/A.ts → src/core/B.ts → src/core/C.ts → src/core/A.ts",
      "import cycle: src/core/Self.ts → src/core/Self.ts"
    ])
  })

  it("see every form of import", () => {
    const source = `import a, { type B } from "a"; import * as c from 'c'
import type D from "d"
export { e } from "e"
export const text = "from 'nothing'"
import("f"); import.meta.url
import "g"
const later = () => import(
  "h"
)`
    expect(importsOf(source).toSorted()).toEqual(["a", "c", "d", "e", "f", "g", "h"])
  })
})

describe("the rules for what is public", () => {
  /** A house of a few files, with others added or put in their place. */
  const check = (...others: ReadonlyArray<{ readonly path: string; readonly source: string }>) => {
    const house = [
      { path: "src/core/index.ts", source: `export * as Usage from "./call/Usage.ts"` },
      { path: "src/core/call/Usage.ts", source: "" },
      { path: "src/core/call/Trail.ts", source: "" },
      { path: "src/policy/index.ts", source: `export * as RateLimit from "./RateLimit.ts"` },
      { path: "src/policy/RateLimit.ts", source: `import "./rate-limit/Bucket.ts"\nimport "./gate/Gate.ts"` },
      { path: "src/policy/rate-limit/Bucket.ts", source: `import "./Line.ts"\nimport "../gate/Gate.ts"` },
      { path: "src/policy/rate-limit/Line.ts", source: `import "../../core/call/Trail.ts"` },
      { path: "src/policy/gate/Gate.ts", source: "" },
      { path: "src/cli/index.ts", source: `export * as Run from "./batch/Run.ts"` },
      { path: "src/cli/batch/Run.ts", source: "" },
      { path: "src/cli/main.ts", source: "" }
    ]
    const replaced = new Set(others.map(({ path }) => path))
    return treeViolations([...house.filter(({ path }) => !replaced.has(path)), ...others])
  }

  it("accept an index of what stands beside it, insides that their owners import, and what neighbours share", () => {
    expect(check()).toEqual([])
  })

  it("accept that an index passes on what core's index has", () => {
    const source = `export * as RateLimit from "./RateLimit.ts"\nexport * as Usage from "../core/call/Usage.ts"`
    expect(check({ path: "src/policy/index.ts", source })).toEqual([])
  })

  it.each([
    ["src/policy/Fresh.ts", "", "stands in policy/, but not in its index"],
    ["src/cli/Fresh.ts", "", "stands in cli/, but not in its index"],
    ["src/model/A.ts", "", "stands in model/, but not in its index"],
    ["src/model/a/B.ts", `import "../../policy/rate-limit/Line.ts"`, "private to policy/RateLimit.ts"],
    [
      "src/model/a/B.ts",
      `import type { A } from "../../policy/gate/Gate.ts"`,
      "policy/gate/Gate.ts is private to policy/"
    ],
    ["src/policy/gate/Turn.ts", `import "../rate-limit/Bucket.ts"`, "private to policy/RateLimit.ts"],
    ["src/policy/gate/Turn.ts", `import("../rate-limit/Bucket.ts")`, "private to policy/RateLimit.ts"],
    ["src/core/call/usage/Sum.ts", `import "../../../policy/gate/Gate.ts"`, "private to policy/"],
    [
      "src/core/stream/A.ts",
      `import "../call/usage/Sum.ts"`,
      "private to core/call/Usage.ts",
      "src/core/call/usage/Sum.ts"
    ],
    ["src/policy/gate/A.ts", `import "../../cli/main.ts"`, "cli/main.ts is a program"]
  ])("refuse %s with %j", (path, source, message, ...more) => {
    expect(check({ path, source }, ...more.map((path) => ({ path, source: "" })))).toEqual([
      expect.stringContaining(message)
    ])
  })

  it.each(["./gate/Gate.ts", "./rate-limit/Line.ts", "../core/call/Trail.ts"])(
    "refuse an index that has %s",
    (inside) => {
      const source = `export * as RateLimit from "./RateLimit.ts"\nexport * as A from "${inside}"`
      expect(check({ path: "src/policy/index.ts", source })).toEqual([expect.stringContaining("is not public")])
    }
  )
})

describe("the rules for where tests stand", () => {
  const sources = ["src/policy/RateLimit.ts", "src/policy/rate-limit/Line.ts", "src/index.ts"]

  it.each([
    "test/policy/RateLimit.test.ts",
    "test/policy/RateLimitRedis.test.ts",
    "test/policy/rate-limit/Line.test.ts",
    "test/policy/cancellation.test.ts",
    "test/laws/Anything.test.ts",
    "test/package.test.ts"
  ])("accept %s", (path) => {
    expect(mirrorViolations([path], sources)).toEqual([])
  })

  it.each([
    ["test/policy/Line.test.ts", "has no file that this is the test of"],
    ["test/policy/line/Line.test.ts", "there is no src/policy/line/"],
    ["test/billing/bills.test.ts", "there is no src/billing/"]
  ])("refuse %s", (path, message) => {
    expect(mirrorViolations([path], sources)).toEqual([expect.stringContaining(message)])
  })
})

describe("the rules for package.json", () => {
  const files = ["src/index.ts", "src/core/index.ts", "src/model/Model.ts"].map((path) => ({ path, source: "" }))
  const entry = (at: string) => ({
    "holdfast-source": `./src/${at}.ts`,
    types: `./dist/${at}.d.ts`,
    default: `./dist/${at}.js`
  })
  const good = { "./package.json": "./package.json", ".": entry("index"), "./core": entry("core/index") }

  it("accept exactly one export for each index", () => {
    expect(exportViolations(files, good)).toEqual([])
  })

  it.each([
    [{ ".": entry("index") }, "lacks export ./core"],
    [{ "./core": entry("core/index") }, "lacks export ."],
    [{ ...good, "./model": entry("model/index") }, "exports ./model, which src/ does not have"],
    [{ ...good, "./core": entry("index") }, "export ./core must be"],
    [{ ...good, "./core": { types: "a", default: "b" } }, "export ./core must be"]
  ])("refuse %j", (exports, message) => {
    expect(exportViolations(files, exports)).toEqual([expect.stringContaining(message)])
  })
})

describe("the rules for tests", () => {
  const check = (source: string) => testViolations([{ path: "test/a.test.ts", source }])

  it.each([
    `it("a", () => {})`,
    `// it.skip("a")`,
    `Stream.skip(1)`,
    `describe.skipIf(url === undefined)("PostgreSQL (needs HOLDFAST_POSTGRES)", () => {})`
  ])("accept %s", (source) => {
    expect(check(source)).toEqual([])
  })

  it.each([
    `it.only("a", () => {})`,
    `it.effect.skip("a", () => {})`,
    `  it.live.only("a", () => {})`,
    `describe.skip("a", () => {})`,
    `test.todo("a")`,
    `it.effect.fails("a", () => {})`,
    `it("a", (ctx) => ctx.skip())`,
    `it("a", { skip: true }, () => {})`,
    `it.skipIf(true)("a", () => {})`,
    `it.effect.runIf(false)("a", () => {})`
  ])("refuse %s", (source) => {
    expect(check(source)).toHaveLength(1)
  })
})
