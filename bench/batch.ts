/**
 * Compares `holdfast batch` with what one writes by hand, on the main job: 2,000 requests under faults.
 *
 * Each run has a process of its own and a fresh server with the same seed and faults (3 % 500s, 3 % 429s with Retry-After
 * of 1 second, 2 % cut connections, latency around half a second), 50 requests in flight. The order alternates from pair
 * to pair; the figures are medians. Requests sent are counted by the server. `npm run bench -- batch [pairs, default 3]`.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { measure, startServer } from "./measure/child.ts"
import type { Row } from "./measure/table.ts"

const root = join(import.meta.dirname, "..")
const input = join(root, "examples/data/packages.jsonl")
const faults = ["--latency-ms", "500", "--rate-500", "0.03", "--rate-429", "0.03", "--rate-cut", "0.02"]
const concurrency = "50"

const contenders = {
  "holdfast batch": (output: string, url: string) => [
    "--conditions=holdfast-source",
    join(root, "src/cli/main.ts"),
    "batch",
    input,
    `--out=${output}`,
    `--base-url=${url}`,
    `--concurrency=${concurrency}`,
    "--quiet"
  ],
  "openai + p-limit": (output: string, url: string) => [
    join(import.meta.dirname, "processes/openaiBatch.ts"),
    input,
    output,
    url,
    concurrency
  ]
}
type Name = keyof typeof contenders
const names: ReadonlyArray<Name> = ["holdfast batch", "openai + p-limit"]

interface Figures {
  readonly answered: number
  readonly wallSeconds: number
  readonly sent: number
  readonly peakMegabytes: number
  readonly cpuSeconds: number
}

export const run = async ([pairs = "3"]: ReadonlyArray<string>): Promise<ReadonlyArray<Row>> => {
  const figures: Record<Name, Array<Figures>> = { "holdfast batch": [], "openai + p-limit": [] }
  for (let pair = 0; pair < Number(pairs); pair++) {
    for (const name of pair % 2 === 0 ? names : names.toReversed()) {
      const one = await runOnce(name, pair + 1)
      figures[name].push(one)
      console.log(`pair ${pair + 1}: ${name}`, JSON.stringify(one))
    }
  }
  return names.map((name) => {
    const of = (figure: (one: Figures) => number) => median(figures[name].map(figure))
    return {
      contender: name,
      answered: of((one) => one.answered),
      "lost, worst run": Math.max(...figures[name].map((one) => 2_000 - one.answered)),
      "wall s": of((one) => one.wallSeconds),
      "sent per answer": of((one) => one.sent / one.answered),
      "peak MB": of((one) => one.peakMegabytes),
      "CPU s": of((one) => one.cpuSeconds),
      runs: figures[name].length
    }
  })
}

const runOnce = async (name: Name, seed: number): Promise<Figures> => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"))
  const output = join(folder, "out.jsonl")
  await using server = await startServer([join(root, "examples/batch/server.ts"), ...faults, "--seed", String(seed)])
  const { cpuSeconds, peakMegabytes, wallSeconds } = await measure(contenders[name](output, `${server.url}/v1`))
  const ids = readFileSync(output, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).custom_id)
  rmSync(folder, { recursive: true })
  return { answered: new Set(ids).size, wallSeconds, sent: await sentTo(server.url), peakMegabytes, cpuSeconds }
}

/** Asks the server's own metrics how many requests it got: those it answered with a status, and those it cut. */
const sentTo = async (url: string): Promise<number> => {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  const counted = /^aimock_requests_total\{[^}]*path="\/v1\/chat\/completions"[^}]*\} (\d+)$/gmu
  return [...metrics.matchAll(counted)].reduce((sum, [, count]) => sum + Number(count), 0)
}

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle) - 1] ?? 0)) / 2
}
