/** The compiler carries the Effect rules only when it is patched and configured; this shows that each of them bites. */
import { spawnSync } from "node:child_process"
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"

const root = join(import.meta.dirname, "..")
const folder = mkdtempSync(join(tmpdir(), "holdfast-compiler-"))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const preamble = `import { Clock, Context, Effect, Layer, Random } from "effect"
class Service extends Context.Service<Service, { readonly get: Effect.Effect<number> }>()("holdfast/bad/Service") {}
const layer = Layer.succeed(Service, { get: Effect.succeed(1) })
export const program = Service.use((service) => service.get)
`

/** One breach of each rule, and whether tests, examples, benches and scripts may do it. */
const breaches: ReadonlyArray<readonly [rule: string, where: "everywhere" | "src", source: string]> = [
  ["floatingEffect", "everywhere", `export const f = () => {\n  Effect.log("lost")\n}`],
  [
    "leakingRequirements",
    "everywhere",
    `export class Leaky extends Context.Service<Leaky, { readonly a: Effect.Effect<1, never, Service>; readonly b: (x: 1) => Effect.Effect<1, never, Service> }>()("holdfast/bad/Leaky") {}`
  ],
  [
    "missingReturnYieldStar",
    "everywhere",
    `export const f = Effect.gen(function* () {\n  if ((yield* Clock.currentTimeMillis) > 3) {\n    yield* Effect.fail("no" as const)\n  }\n  return 1\n})`
  ],
  [
    "tryCatchInEffectGen",
    "everywhere",
    `export const f = Effect.gen(function* () {\n  try {\n    return yield* Random.next\n  } catch {\n    return 2\n  }\n})`
  ],
  ["extendsNativeError", "everywhere", `export class Bad extends Error {}`],
  [
    "unsafeEffectTypeAssertion",
    "everywhere",
    `export const f = Effect.fail("a" as const) as Effect.Effect<never, never>`
  ],
  [
    "globalDateInEffect",
    "everywhere",
    `export const f = Effect.gen(function* () {\n  yield* Effect.void\n  return Date.now()\n})`
  ],
  [
    "globalTimersInEffect",
    "everywhere",
    `export const f = Effect.gen(function* () {\n  yield* Effect.void\n  setTimeout(() => {}, 1)\n})`
  ],
  [
    "globalRandomInEffect",
    "everywhere",
    `export const f = Effect.gen(function* () {\n  yield* Effect.void\n  return Math.random()\n})`
  ],
  [
    "globalFetchInEffect",
    "everywhere",
    `export const f = Effect.gen(function* () {\n  yield* Effect.void\n  return fetch("http://127.0.0.1")\n})`
  ],
  ["deterministicKeys", "src", `export class Named extends Context.Service<Named, { readonly a: 1 }>()("wrong") {}`],
  ["serviceNotAsClass", "everywhere", `export const Named = Context.Service<{ readonly a: 1 }>("holdfast/bad/Named")`],
  ["lazyEffect", "everywhere", `export const lazy = () => Effect.succeed(1)`],
  ["strictEffectProvide", "src", `export const f = program.pipe(Effect.provide(layer))`],
  ["globalDate", "src", `export const f = Date.now()`],
  ["globalTimers", "src", `export const f = () => void setTimeout(() => {}, 1)`],
  ["globalRandom", "src", `export const f = Math.random()`],
  ["globalFetch", "src", `export const f = fetch("http://127.0.0.1")`],
  ["globalConsole", "src", `console.log(1)`],
  [
    "globalConsoleInEffect",
    "src",
    `export const f = Effect.gen(function* () {\n  yield* Effect.void\n  console.log(1)\n})`
  ],
  ["processEnv", "src", `export const f = process.env["HOME"]`],
  [
    "processEnvInEffect",
    "src",
    `export const f = Effect.gen(function* () {\n  yield* Effect.void\n  return process.env["HOME"]\n})`
  ],
  ["newPromise", "src", `export const f = new Promise<void>((resolve) => resolve())`],
  ["asyncFunction", "src", `export const f = async () => {}`],
  [
    "runEffectInsideEffect",
    "src",
    `export const f = Effect.gen(function* () {\n  yield* Effect.void\n  return Effect.runSync(program.pipe(Effect.as(1), Effect.provideService(Service, { get: Effect.succeed(1) })))\n})`
  ],
  ["anyUnknownInErrorContext", "src", `export const f = (error: unknown) => Effect.fail(error)`],
  ["globalErrorInEffectFailure", "src", `export const f = Effect.fail(new Error("words"))`]
]

const places = ["src", "test", "examples", "bench", "scripts"]

/** Compiles every breach in every place, under this repository's tsconfig.json; gives the findings. */
const compile = (): ReadonlyArray<string> => {
  copyFileSync(join(root, "tsconfig.json"), join(folder, "tsconfig.json"))
  writeFileSync(join(folder, "package.json"), `{ "name": "holdfast", "type": "module" }`)
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
  for (const where of places) {
    mkdirSync(join(folder, where, "deep"), { recursive: true })
    for (const [rule, , source] of breaches) {
      writeFileSync(join(folder, where, "deep", `${rule}.ts`), `${preamble}void layer\n${source}\n`)
    }
  }
  const compiler = join(root, "node_modules/typescript/bin/tsc")
  const { stdout, status } = spawnSync(process.execPath, [compiler, "-p", folder], { cwd: folder, encoding: "utf8" })
  expect(status).not.toBe(0)
  return stdout.split(/\n(?=\w+\/deep\/)/)
}

describe("the compiler", () => {
  const findings = compile()

  it.each(breaches)("reports %s in %s", (rule, where) => {
    const reported = places.filter((place) =>
      findings.some((text) => text.startsWith(`${place}/deep/${rule}.ts`) && text.includes(`effect(${rule})`))
    )
    expect(reported).toEqual(where === "src" ? ["src"] : places)
  })
})
