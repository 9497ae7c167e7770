/**
 * Measures the supervisor beside p-queue, p-limit, fastq and a bare FiberMap, in one run.
 *
 * Speeds are medians over rounds in which every subject has its turn, and CPU, garbage collection included, is that of the
 * round that took least of it, for what else goes on in a machine only adds to that. Bytes are measured in a process of
 * their own for each subject, after garbage collection.
 */
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { Effect, Exit, FiberMap, Scope } from "effect"
import * as fastq from "fastq"
import { Job, Supervisor } from "holdfast/supervisor"
import { LeakDetector } from "holdfast/testing"
import pLimit from "p-limit"
import PQueue from "p-queue"
import type { Row } from "./measure/table.ts"

const concurrency = 50
const rounds = 7

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN
const percentile = (values: ReadonlyArray<number>, share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))] ?? NaN

const supervised = <A>(
  program: Effect.Effect<A, unknown, Supervisor.Supervisor>,
  options: Supervisor.Options = { concurrency, maxPending: 10_000_000 }
): Promise<A> => Effect.runPromise(Effect.provide(program, Supervisor.layer(options)))

/** Runs so many jobs that do nothing. */
const throughput: Record<string, (jobs: number) => Promise<void>> = {
  holdfast: (jobs) =>
    supervised(
      Effect.gen(function* () {
        for (let n = 0; n < jobs; n++) yield* Supervisor.submit(Effect.void)
        yield* Supervisor.awaitAll()
      })
    ),
  "p-queue": async (jobs) => {
    const queue = new PQueue({ concurrency })
    for (let n = 0; n < jobs; n++) void queue.add(async () => {})
    await queue.onIdle()
  },
  "p-limit": async (jobs) => {
    const limit = pLimit(concurrency)
    const all: Array<Promise<void>> = []
    for (let n = 0; n < jobs; n++) all.push(limit(async () => {}))
    await Promise.all(all)
  },
  fastq: async (jobs) => {
    const queue = fastq.promise(async () => {}, concurrency)
    for (let n = 0; n < jobs; n++) void queue.push(undefined)
    await queue.drained()
  },
  FiberMap: (jobs) =>
    Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const map = yield* FiberMap.make<number>()
          for (let n = 0; n < jobs; n++) yield* FiberMap.run(map, n, Effect.void)
          yield* FiberMap.awaitEmpty(map)
        })
      )
    )
}

const noOps = async (): Promise<ReadonlyArray<Row>> => {
  const jobs = 200_000
  const speeds: Record<string, Array<number>> = {}
  const micros: Record<string, number> = {}
  for (let round = -1; round < rounds; round++) {
    for (const [name, run] of Object.entries(throughput)) {
      globalThis.gc?.()
      const before = process.cpuUsage()
      const start = performance.now()
      await run(jobs)
      const millis = performance.now() - start
      const { system, user } = process.cpuUsage(before)
      if (round < 0) continue
      ;(speeds[name] ??= []).push((jobs / millis) * 1000)
      micros[name] = Math.min(micros[name] ?? Infinity, (system + user) / jobs)
    }
  }
  const of = (value: (name: string) => number) =>
    Object.fromEntries(Object.keys(throughput).map((name) => [name, value(name)]))
  const overPQueue = (micros["p-queue"] ?? NaN) / (micros["holdfast"] ?? NaN)
  return [
    {
      figure: "no-op jobs a second, concurrency 50",
      ...of((name) => Math.round(median(speeds[name] ?? []))),
      target: "≥ p-queue × 1.6, ≥ 150,000"
    },
    { figure: "CPU of a no-op job, µs", ...of((name) => micros[name] ?? NaN), target: "≤ p-queue ÷ 1.6" },
    { figure: "… how often it goes into that of p-queue", holdfast: overPQueue, target: "≥ 1.6" }
  ]
}

const startMicros = (): Promise<Row> =>
  supervised(
    Effect.gen(function* () {
      const micros: Array<number> = []
      for (let n = 0; n < 5_000; n++) {
        const start = performance.now()
        const job = yield* Supervisor.submit(Effect.sync(() => performance.now()))
        micros.push(((yield* Job.join(job)) - start) * 1000)
      }
      const p50 = median(micros.slice(1_000))
      return { figure: "submit to start, idle, p50, µs", holdfast: p50, target: "< 50" }
    })
  )

const running = 10_000

const started = Effect.gen(function* () {
  const jobs = yield* Effect.forEach(Array.from({ length: running }), () => Supervisor.submit(Effect.never))
  while ((yield* Supervisor.counts).running < running) yield* Effect.yieldNow
  return jobs
})

const roomy: Supervisor.Options = { concurrency: running, maxPending: running, retain: running }

const cancelMillis = (): Promise<ReadonlyArray<Row>> =>
  supervised(
    Effect.gen(function* () {
      const millis: Array<number> = []
      for (const job of yield* started) {
        const start = performance.now()
        yield* Job.cancel(job)
        millis.push(performance.now() - start)
      }
      yield* started
      const start = performance.now()
      yield* Supervisor.cancelAll()
      const all = performance.now() - start
      return [
        { figure: "cancel to ended, 10,000 running, p99, ms", holdfast: percentile(millis, 0.99), target: "< 1" },
        { figure: "cancel all 10,000, ms", holdfast: all, target: "< 250" }
      ]
    }),
    roomy
  )

const closeMillis = (): Promise<Row> =>
  Effect.runPromise(
    Effect.gen(function* () {
      const detector = yield* LeakDetector.make
      const scope = yield* Scope.make()
      const supervisor = yield* Effect.provideService(Supervisor.make(roomy), Scope.Scope, scope)
      yield* detector.watch(Effect.provideService(started, Supervisor.Supervisor, supervisor))
      const start = performance.now()
      yield* Scope.close(scope, Exit.void)
      const millis = performance.now() - start
      const alive = yield* detector.liveFibers
      return {
        figure: `close with 10,000 running, ms (${alive} fibers alive after)`,
        holdfast: millis,
        target: "< 250"
      }
    })
  )

const listMillis = (): Promise<Row> =>
  supervised(
    Effect.gen(function* () {
      const records = 100_000
      yield* Effect.forEach(
        Array.from({ length: records }, (_, n) => n),
        (n) => Supervisor.submit(Effect.void, { metadata: { user: `u-${n % 1_000}` } }),
        { discard: true }
      )
      yield* Supervisor.awaitAll()
      const millis: Array<number> = []
      for (let n = 0; n < 50; n++) {
        const start = performance.now()
        yield* Supervisor.list({ state: "completed", metadata: { user: "u-999" }, limit: 100 })
        millis.push(performance.now() - start)
      }
      return { figure: "page of 100 filtered from 100,000 records, p50, ms", holdfast: median(millis), target: "< 20" }
    }),
    { concurrency, maxPending: 1_000_000, retain: 1_000_000 }
  )

interface Memory {
  readonly bytesEach: number
  readonly rssMiB: number
  readonly firstPerSecond: number
  readonly lastPerSecond: number
}

const memory = (subject: string, state: "waiting" | "running", jobs: number): Memory =>
  JSON.parse(
    execFileSync(
      process.execPath,
      [
        "--expose-gc",
        "--conditions=holdfast-source",
        join(import.meta.dirname, "processes/supervisorMemory.ts"),
        subject,
        state,
        `${jobs}`
      ],
      { encoding: "utf8" }
    )
  )

const bytes = (state: "waiting" | "running", target: string): Row => ({
  figure: `bytes for a ${state === "waiting" ? "waiting" : "running, sleeping"} job`,
  ...Object.fromEntries(
    ["holdfast", "p-queue", "p-limit", "fastq", "FiberMap"]
      .filter((subject) => state === "running" || subject !== "FiberMap")
      .map((subject) => [subject, Math.round(memory(subject, state, 100_000).bytesEach)])
  ),
  target
})

const million = (): ReadonlyArray<Row> => {
  const { firstPerSecond, lastPerSecond, rssMiB } = memory("holdfast", "waiting", 1_000_000)
  return [
    { figure: "a million waiting jobs, MiB resident", holdfast: rssMiB, target: "< 1,144 (1.2 GB)" },
    { figure: "… submits a second, the first 100,000", holdfast: Math.round(firstPerSecond), target: "" },
    { figure: "… submits a second, the last 100,000", holdfast: Math.round(lastPerSecond), target: "not falling" }
  ]
}

export const run = async (): Promise<ReadonlyArray<Row>> => [
  ...(await noOps()),
  bytes("waiting", "≤ 1,024"),
  bytes("running", "≤ 2,048"),
  ...million(),
  await startMicros(),
  ...(await cancelMillis()),
  await listMillis(),
  await closeMillis()
]
