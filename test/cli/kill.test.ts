import { expect, it } from "vitest"
import { copyFileSync, existsSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { type Folder, makeFolder, packages, startModel } from "./command.ts"

/** The lines of the output that have their line end. */
const wholeLines = (folder: Folder): ReadonlyArray<string> =>
  existsSync(folder.path("out.jsonl")) ? folder.read("out.jsonl").split("\n").slice(0, -1) : []

it("holdfast batch loses no answer and repeats none when it is killed twenty times", { timeout: 180_000 }, async () => {
  const url = await startModel("--latency-ms=100", "--rate-500=0.03", "--rate-cut=0.02")
  const folder = makeFolder()
  copyFileSync(packages, folder.path("in.jsonl"))
  const args = ["batch", "in.jsonl", "--out=out.jsonl", `--base-url=${url}`, "--quiet"]

  let before: ReadonlyArray<string> = []
  let amidAnswers = 0
  for (let kills = 0; kills < 20; kills++) {
    const started = folder.start(args)
    // Every other kill comes while answers are being written, the rest at any moment, from the start on.
    const amid = kills % 2 === 0
    if (amid) while (wholeLines(folder).length === before.length) await sleep(5)
    await sleep(Math.random() * (amid ? 200 : 1_000))
    started.process.kill("SIGKILL")
    expect((await started.ended).signal).toBe("SIGKILL")
    const after = wholeLines(folder)
    expect(after.slice(0, before.length)).toEqual(before)
    if (after.length > before.length) amidAnswers += 1
    before = after
  }
  expect(amidAnswers).toBeGreaterThanOrEqual(10)
  expect(before.length).toBeLessThan(2_000)

  const { code, stderr } = await folder.run(args)
  expect(stderr).toContain("answered")
  expect(code).toBe(0)
  const ids = folder.lines("out.jsonl").map((line) => line.custom_id)
  expect(ids).toHaveLength(2_000)
  expect(new Set(ids).size).toBe(2_000)
})
