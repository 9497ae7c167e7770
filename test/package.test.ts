/** Installs the packed tarball in an empty folder, as a user would, and uses it there without any of this repository. */
import { execFile } from "node:child_process"
import { globSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { pack } from "../scripts/package/pack.ts"

const root = join(import.meta.dirname, "..")
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
const entries = Object.keys(manifest.exports)
  .filter((key) => key !== "./package.json")
  .map((key) => key.replace(".", "holdfast"))

const folder = mkdtempSync(join(tmpdir(), "holdfast-consumer-"))
const path = [dirname(process.execPath), process.env["PATH"]].join(delimiter)

const run = (command: string, ...args: ReadonlyArray<string>) => {
  const running = promisify(execFile)(command, args, {
    cwd: folder,
    env: { ...process.env, PATH: path },
    timeout: 100_000
  })
  running.child.stdin?.end()
  return running
}

/** Runs a file in the consumer's folder under this Node, which knows no condition `holdfast-source` there. */
const runFile = (name: string, source: string) => {
  writeFileSync(join(folder, name), source)
  return run(process.execPath, name)
}

/** What the compiler says of a strict consumer: of its file and of Holdfast's declarations, not of other packages'. */
const typeCheck = async (source: string): Promise<ReadonlyArray<string>> => {
  writeFileSync(join(folder, "consumer.ts"), source)
  const options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2024", "--types", ""]
  const compiler = join(root, "node_modules/typescript/bin/tsc")
  const output = await run(process.execPath, compiler, ...options, "consumer.ts").then(
    ({ stdout }) => stdout,
    ({ stdout }: { readonly stdout: string }) => stdout
  )
  return output.split("\n").filter((line) => /^(consumer\.ts|node_modules\/holdfast\/|error)/.test(line))
}

const program = `
import { Effect } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

const answer = await Effect.gen(function* () {
  const job = yield* Supervisor.submit(Effect.succeed(42), { name: "answer" })
  return yield* Job.join(job)
}).pipe(Effect.provide(Supervisor.layer()), Effect.runPromise)
`

beforeAll(async () => {
  const tarball = pack(folder)
  writeFileSync(join(folder, "package.json"), `{ "name": "consumer", "private": true, "type": "module" }`)
  const quietly = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--no-save"]
  await run("npm", "install", ...quietly, tarball, `effect@${manifest.devDependencies.effect}`)
}, 180_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe("the packed tarball, installed in an empty folder", () => {
  it("is imported by every path it exports", async () => {
    const imports = entries.map(
      (entry) => `[${JSON.stringify(entry)}, Object.keys(await import("${entry}")).length > 0]`
    )
    const { stdout } = await runFile("imports.js", `console.log(JSON.stringify([${imports.join(", ")}]))`)
    expect(JSON.parse(stdout)).toEqual(entries.map((entry) => [entry, true]))
  })

  it("is imported from dist/, never from src/", async () => {
    const { stdout } = await runFile("where.js", `console.log(import.meta.resolve("holdfast/supervisor"))`)
    expect(stdout).toContain("/node_modules/holdfast/dist/supervisor/index.js")
  })

  it("runs a supervised job", async () => {
    const { stdout } = await runFile("program.js", `${program}console.log(answer)`)
    expect(stdout).toBe("42\n")
  })

  it("has types that a strict compiler accepts, and that refuse a wrong use", async () => {
    const imports = entries.map((entry, index) => `import * as entry${index} from "${entry}"\nvoid entry${index}`)
    const uses = `
export const right: number = answer
// @ts-expect-error: it is a number, and not any
export const wrong: string = answer
// @ts-expect-error: it takes a number
Supervisor.layer({ concurrency: "1" })
`
    expect(await typeCheck(`${imports.join("\n")}\n${program}${uses}`)).toEqual([])
    expect(await typeCheck(`import { nothing } from "holdfast/supervisor"\nvoid nothing`)).toEqual([
      expect.stringContaining("has no exported member 'nothing'")
    ])
  }, 90_000)

  it("shows no type of Effect in the declarations of holdfast/promise", () => {
    const declared = globSync("node_modules/holdfast/dist/promise/**/*.d.ts", { cwd: folder })
    const named = declared.filter((path) => !path.includes("/client/"))
    expect(named.length).toBeGreaterThan(4)
    const foreign = named.flatMap((path) =>
      [...readFileSync(join(folder, path), "utf8").matchAll(/(?:from|import\()\s*"((?:@?effect)[^"]*)"/g)].map(
        ([, from]) => `${path}: ${from}`
      )
    )
    expect(foreign).toEqual([])
  })

  it("runs a client from ESM and by require, and lets the process end while it is idle", async () => {
    const use = `const client = Client.make({ model: fakeModel("yes") })
Promise.all([client.generate("?"), client.run(() => 42)]).then(([{ text }, n]) => console.log(text, n))`
    const esm = await runFile("client.js", `import { Client, fakeModel } from "holdfast/promise"\n${use}`)
    const cjs = await runFile("client.cjs", `const { Client, fakeModel } = require("holdfast/promise")\n${use}`)
    expect([esm.stdout, cjs.stdout]).toEqual(["yes 42\n", "yes 42\n"])
  })

  it("puts an executable holdfast command on the path of npx", async () => {
    expect(statSync(join(folder, "node_modules/holdfast/dist/cli/main.js")).mode & 0o111).toBe(0o111)
    const { stdout } = await run("npx", "--no-install", "holdfast", "--help")
    expect(stdout).toMatch(/^ +batch +\S/m)
  })
})
