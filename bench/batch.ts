/**
 * Compares `holdfast batch` with what one writes by hand, on three jobs: 2,000 requests under faults, 20,000 where nothing fails, and
 * 400 at a server that allows 20 a second, tells no limit and gives no Retry-After.
 *
 * In the second the time of a run over one line is taken off both, and CPU and memory with it are per 20,000. In the third the ideal time
 * is what the limit allows after its first 20.
 *
 * Each run has a process of its own and a fresh server with the same seed and faults (3 % 500s, 3 % 429s with Retry-After
 * of 1 second, 2 % cut connections, latency around half a second), 50 requests in flight. The order alternates from pair
 * to pair; the figures are medians. Requests sent are counted by the server. `npm run bench -- batch [pairs, default 3]`; with 0 pairs, the
 * third job only.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { measure, type Measured, startServer } from "./measure/child.ts"
import type { Row } from "./measure/table.ts"

const root = join(import.meta.dirname, "..")
const packages = join(root, "examples/data/packages.jsonl")
const faults = ["--latency-ms", "500", "--rate-500", "0.03", "--rate-429", "0.03", "--rate-cut", "0.02"]
const concurrency = "50"

const contenders = {
  "holdfast batch": (output: string, url: string, input: string) => [
    "--conditions=holdfast-source",
    join(root, "src/cli/main.ts"),
    "batch",
    input,
    `--out=${output}`,
    `--base-url=${url}`,
    `--concurrency=${concurrency}`,
    "--quiet"
  ],
  "openai + p-limit": (output: string, url: string, input: string) => [
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
  if (Number(pairs) === 0) return limited()
  return [...names.map((name) => faulty(name, figures[name])), ...(await plain(Number(pairs))), ...(await limited())]
}

const faulty = (name: Name, figures: ReadonlyArray<Figures>): Row => {
  const of = (figure: (one: Figures) => number) => median(figures.map(figure))
  return {
    job: "faults",
    contender: name,
    answered: of((one) => one.answered),
    "lost, worst run": Math.max(...figures.map((one) => 2_000 - one.answered)),
    "wall s": of((one) => one.wallSeconds),
    "sent per answer": of((one) => one.sent / one.answered),
    "peak MB": of((one) => one.peakMegabytes),
    "CPU s": of((one) => one.cpuSeconds),
    runs: figures.length
  }
}

const runOnce = async (name: Name, seed: number): Promise<Figures> => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"))
  const output = join(folder, "out.jsonl")
  await using server = await startServer([join(root, "examples/batch/server.ts"), ...faults, "--seed", String(seed)])
  const { cpuSeconds, peakMegabytes, wallSeconds } = await measure(
    contenders[name](output, `${server.url}/v1`, packages)
  )
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

/** Writes so many requests. */
const requests = (path: string, count: number): void => {
  const line = (n: number) => {
    const body = { model: "m", messages: [{ role: "user", content: `say ${n}` }] }
    return `${JSON.stringify({ custom_id: `r${n}`, method: "POST", url: "/v1/chat/completions", body })}\n`
  }
  writeFileSync(path, Array.from({ length: count }, (_, n) => line(n)).join(""))
}

const many = 20_000

/** Many requests of which none fails: what each costs, without what it takes to start. */
const plain = async (pairs: number): Promise<ReadonlyArray<Row>> => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"))
  await using server = await startServer([join(root, "test/cli/fastServer.ts"), "20"])
  const once = async (name: Name, count: number) => {
    const [input, output] = [join(folder, "in.jsonl"), join(folder, "out.jsonl")]
    requests(input, count)
    rmSync(output, { force: true })
    return measure(contenders[name](output, `${server.url}/v1`, input))
  }
  const rows: Array<Row> = []
  for (const name of names) {
    const runs: Array<{ readonly start: Measured; readonly all: Measured }> = []
    for (let run = 0; run < pairs; run++) runs.push({ start: await once(name, 1), all: await once(name, many) })
    const least = (figure: (one: (typeof runs)[number]) => number) => Math.min(...runs.map(figure))
    rows.push({
      job: "plain",
      contender: name,
      "wall s": least(({ all, start }) => all.wallSeconds - start.wallSeconds),
      "CPU µs each": least(({ all, start }) => ((all.cpuSeconds - start.cpuSeconds) * 1e6) / many),
      "peak MB": least(({ all }) => all.peakMegabytes),
      runs: pairs
    })
  }
  rmSync(folder, { recursive: true })
  return rows
}

interface Counted {
  readonly sent: number
  readonly lastMillis: number
}

const limit = { requests: 400, perSecond: 20 }

/** A server that tells no limit. */
const limited = async (): Promise<ReadonlyArray<Row>> => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"))
  const [input, output] = [join(folder, "in.jsonl"), join(folder, "out.jsonl")]
  requests(input, limit.requests)
  const rows: Array<Row> = []
  for (const name of names) {
    rmSync(output, { force: true })
    await using server = await startServer([
      join(import.meta.dirname, "processes/bucketServer.ts"),
      String(limit.perSecond)
    ])
    const { wallSeconds } = await measure(contenders[name](output, `${server.url}/v1`, input))
    const counted: Counted = JSON.parse(await (await fetch(`${server.url}/counts`)).text())
    const { lastMillis, sent } = counted
    const answered = existsSync(output) ? readFileSync(output, "utf8").trimEnd().split("\n").length : 0
    rows.push({
      job: "unknown limit",
      contender: name,
      answered,
      "lost, worst run": limit.requests - answered,
      "sent per answer": sent / answered,
      "wall s": wallSeconds,
      "times the ideal": lastMillis / (((limit.requests - limit.perSecond) / limit.perSecond) * 1_000),
      runs: 1
    })
  }
  rmSync(folder, { recursive: true })
  return rows
}
