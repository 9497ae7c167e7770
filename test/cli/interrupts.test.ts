import { spawnSync } from "node:child_process"
import { describe, expect, it } from "vitest"
import { makeFolder, startFast } from "./command.ts"

const prompts = (count: number) =>
  Array.from({ length: count }, (_, n) => `${JSON.stringify({ id: `p-${n}`, prompt: `say ${n}` })}\n`).join("")

/** Starts a run of 200 requests, ten at a time, and waits until the first ten are on their way or answered. */
const startRun = async (latencyMillis: number) => {
  const url = await startFast(latencyMillis)
  const folder = makeFolder()
  folder.write("in.jsonl", prompts(200))
  const args = ["batch", "in.jsonl", "--out=out.jsonl", `--base-url=${url}`, "--model=m", "--concurrency=10"]
  return { folder, args, url, started: folder.start([...args, "--json"]) }
}

const lastEvent = (stderr: string) => JSON.parse(stderr.trimEnd().split("\n").at(-1) ?? "")

describe("Ctrl-C during holdfast batch", { timeout: 60_000 }, () => {
  it.each(["SIGINT", "SIGTERM"] as const)(
    "lets the requests in flight finish and sends no other (%s)",
    async (signal) => {
      const { folder, started } = await startRun(1_000)
      await started.says("RequestAnswered")
      started.process.kill(signal)
      const { code, stderr } = await started.ended
      const events = stderr
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line))
      const { inFlight } = events.find(({ event }) => event === "RunStopping")
      expect(inFlight).toBeGreaterThan(0)
      expect(lastEvent(stderr)).toMatchObject({ event: "RunEnded", stopped: true, failed: 0 })
      const { answered, sent, unfinished } = lastEvent(stderr)
      expect([sent, answered + unfinished]).toEqual([answered, 200])
      expect(folder.lines("out.jsonl")).toHaveLength(answered)
      expect(code).toBe(130)
    }
  )

  it("interrupts at once when pressed again, and keeps what was answered", async () => {
    const { folder, started } = await startRun(5_000)
    await started.says("RunProgressed")
    started.process.kill("SIGINT")
    await started.says("RunStopping")
    const pressed = performance.now()
    started.process.kill("SIGINT")
    const { code, stderr } = await started.ended
    expect(performance.now() - pressed).toBeLessThan(2_000)
    expect(lastEvent(stderr)).toMatchObject({
      event: "RunEnded",
      stopped: true,
      answered: 0,
      failed: 0,
      unfinished: 200
    })
    expect(code).toBe(130)
    expect([folder.lines("out.jsonl"), folder.lines("out.errors.jsonl")]).toEqual([[], []])
  })

  it("ends at once while nobody writes the pipe that it reads", async () => {
    const url = await startFast()
    const folder = makeFolder()
    spawnSync("mkfifo", [folder.path("pipe")])
    const started = folder.start(["batch", "pipe", "--out=out.jsonl", `--base-url=${url}`, "--model=m", "--json"])
    await started.says("RunStarted")
    const asked = performance.now()
    started.process.kill("SIGTERM")
    expect((await started.ended).code).toBe(130)
    expect(performance.now() - asked).toBeLessThan(2_000)
  })

  it("does not wait for requests that are between two attempts", async () => {
    const url = await startFast()
    const folder = makeFolder()
    folder.write("in.jsonl", prompts(5))
    // Five a minute: one is sent at once, the others wait for their minute.
    const started = folder.start([
      "batch",
      "in.jsonl",
      "--out=out.jsonl",
      `--base-url=${url}`,
      "--model=m",
      "--requests-per-minute=5",
      "--json"
    ])
    await started.says("RequestAnswered")
    const pressed = performance.now()
    started.process.kill("SIGINT")
    const { code, stderr } = await started.ended
    expect(performance.now() - pressed).toBeLessThan(2_000)
    expect([code, lastEvent(stderr).answered, lastEvent(stderr).unfinished]).toEqual([130, 1, 4])
  })

  it("says how to resume, and the same command does the rest", async () => {
    const url = await startFast(300)
    const folder = makeFolder()
    folder.write("in.jsonl", prompts(100))
    const args = ["batch", "in.jsonl", "--out=out.jsonl", `--base-url=${url}`, "--model=my model", "--concurrency=10"]
    const started = folder.start(args)
    while (folder.lines("out.jsonl").length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    started.process.kill("SIGINT")
    const { stderr } = await started.ended
    expect(stderr).toContain(
      `stopped; to resume, run the same command again: holdfast batch in.jsonl --out=out.jsonl --base-url=${url} ` +
        `'--model=my model' --concurrency=10\n`
    )
    const before = folder.lines("out.jsonl").length
    expect(before).toBeLessThan(100)
    const again = await folder.run(args)
    expect([again.code, new Set(folder.lines("out.jsonl").map((line) => line.custom_id)).size]).toEqual([0, 100])
    expect(again.stderr).toContain(`${before} answers are in out.jsonl already`)
  })
})
