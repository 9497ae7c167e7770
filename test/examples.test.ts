import { execFile } from "node:child_process"
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"

const root = join(import.meta.dirname, "..")
const examples = globSync("examples/[0-9][0-9]-*.ts", { cwd: root }).toSorted()

/** The lines the leading comment promises: `// prints: …`. */
const promised = (source: string): ReadonlyArray<string> => {
  const lines = source.split("\n")
  const end = lines.findIndex((line) => !/^(\/\/|#!)/.test(line))
  return lines.slice(0, end).flatMap((line) => /^\/\/ prints: (.*)$/.exec(line)?.slice(1) ?? [])
}

// At most `maxConcurrency` of vitest.config.ts at a time.
describe.concurrent("examples", () => {
  it("are there, numbered from 01 without a gap", () => {
    const numbers = examples.map((path) => path.slice("examples/".length, "examples/".length + 2))
    expect(numbers).toEqual(numbers.map((_, index) => String(index + 1).padStart(2, "0")))
    expect(examples.length).toBeGreaterThan(0)
  })

  it.each(examples)(
    "%s is under 60 lines, ends with 0 and prints what it promises",
    { timeout: 40_000 },
    async (path) => {
      const source = readFileSync(join(root, path), "utf8")
      expect(source.trimEnd().split("\n").length).toBeLessThan(60)
      const run = promisify(execFile)(process.execPath, ["--conditions=holdfast-source", path], {
        cwd: root,
        timeout: 30_000,
        killSignal: "SIGKILL",
        maxBuffer: 10 * 1024 * 1024
      })
      run.child.stdin?.end()
      const { stdout } = await run // fails with the output when the exit code is not 0
      const printed = stdout.split("\n").map((line) => line.trimEnd())
      for (const line of promised(source)) expect(printed).toContain(line)
    }
  )
})
