/** A process of its own for `bench/supervisor.ts`: fills one subject with jobs and prints what they cost, as JSON. */
import { Effect, FiberMap } from "effect"
import * as fastq from "fastq"
import { Supervisor } from "holdfast/supervisor"
import pLimit from "p-limit"
import PQueue from "p-queue"

const [subject = "", state = "", count = "0"] = process.argv.slice(2)
const jobs = Number(count)
const concurrency = state === "waiting" ? 1 : jobs + 1
const never = () => new Promise<void>(() => {})

const settled = () => new Promise((resolve) => setTimeout(resolve, 50))
const heap = async () => {
  await settled()
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

/** Fills in ten parts, and tells how fast the first and the last were. */
const fill = async (add: (n: number) => unknown) => {
  const perSecond: Array<number> = []
  for (let part = 0; part < 10; part++) {
    const start = performance.now()
    for (let n = 0; n < jobs / 10; n++) add(part * (jobs / 10) + n)
    perSecond.push((jobs / 10 / (performance.now() - start)) * 1000)
    await settled()
  }
  return { firstPerSecond: perSecond[0] ?? 0, lastPerSecond: perSecond.at(-1) ?? 0 }
}

const report = async (before: number, speeds: { readonly firstPerSecond: number; readonly lastPerSecond: number }) => {
  const bytesEach = ((await heap()) - before) / jobs
  console.log(JSON.stringify({ bytesEach, rssMiB: Math.round(process.memoryUsage().rss / 2 ** 20), ...speeds }))
  process.exit(0)
}

const inEffect = <R>(add: (n: number) => Effect.Effect<unknown, unknown, R>) =>
  Effect.gen(function* () {
    const before = yield* Effect.promise(heap)
    const context = yield* Effect.context<R>()
    const speeds = yield* Effect.promise(() => fill((n) => Effect.runSyncWith(context)(add(n))))
    return yield* Effect.promise(() => report(before, speeds))
  })

switch (subject) {
  case "holdfast":
    await Effect.runPromise(
      inEffect(() => Supervisor.submit(Effect.never, { metadata: { user: "u-1" } })).pipe(
        Effect.provide(Supervisor.layer({ concurrency, maxPending: jobs + 1 }))
      )
    )
    break
  case "FiberMap":
    await Effect.runPromise(
      Effect.scoped(
        Effect.flatMap(FiberMap.make<number>(), (map) => inEffect((n) => FiberMap.run(map, n, Effect.never)))
      )
    )
    break
  case "p-queue": {
    const queue = new PQueue({ concurrency })
    const before = await heap()
    await report(before, await fill(() => queue.add(never)))
    break
  }
  case "p-limit": {
    const limit = pLimit(concurrency)
    const before = await heap()
    await report(before, await fill(() => limit(never)))
    break
  }
  case "fastq": {
    const queue = fastq.promise(never, concurrency)
    const before = await heap()
    await report(before, await fill(() => queue.push(undefined)))
    break
  }
}
