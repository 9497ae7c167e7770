/**
 * Runs ten million jobs through one supervisor, and shows that nothing of them stays: `npm run soak -- --jobs 1000000`.
 *
 * Jobs succeed, fail, die, run out of time, are cancelled and own others; waiters are abandoned. In the end live fibers,
 * timers, handles, records and slots must be what they were, and the heap must not have grown with the jobs. Exits with 1
 * when one of them is not.
 */
import { parseArgs } from "node:util"
import { Effect, Exit, Fiber, Logger, Metric, Scope } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"
import { slope } from "../../bench/measure/slope.ts"
import { Chance } from "../../src/testing/seed/Chance.ts"

const { values } = parseArgs({
  options: { jobs: { type: "string", default: "10000000" }, seed: { type: "string", default: "1" } }
})
const jobs = Number(values.jobs)
const chance = new Chance(Number(values.seed))
const samples = 50
const batch = 500
const concurrency = 100
const retain = 1_000
/** What the heap may grow by, in bytes for each job: far below what a forgotten record or fiber takes. */
const mayGrow = 2

const { gc } = globalThis
if (gc === undefined) throw new Error("run with --expose-gc")
Error.stackTraceLimit = 0

let liveFibers = 0
const counting = Effect.provideService(Metric.FiberRuntimeMetrics, {
  recordFiberStart: () => void liveFibers++,
  recordFiberEnd: () => void liveFibers--
})

const works: ReadonlyArray<Effect.Effect<unknown, unknown, Supervisor.Supervisor>> = [
  Effect.void,
  Effect.yieldNow,
  Effect.fail("no"),
  Effect.die("no"),
  Effect.sleep(1),
  Effect.never,
  Effect.onExit(Effect.never, () => Effect.yieldNow),
  Effect.andThen(Supervisor.submit(Effect.never), Effect.yieldNow),
  Effect.andThen(Supervisor.submit(Effect.yieldNow), Effect.void).pipe(Effect.andThen(Effect.fail("after child")))
]

const one = Effect.gen(function* () {
  const work = works[chance.below(works.length)] ?? Effect.void
  const key = chance.onceIn(2) ? `key-${chance.below(1_000)}` : undefined
  // Every job has a time limit, for some never end by themselves.
  const job = yield* Supervisor.submit(work, { timeout: 1 + chance.below(5), key })
  switch (chance.below(5)) {
    case 0:
      return yield* Effect.asVoid(Job.cancel(job))
    case 1:
      return yield* Effect.asVoid(Effect.exit(Job.join(job)))
    case 2: {
      const waiting = yield* Effect.forkChild(Job.join(job))
      yield* Effect.yieldNow
      return yield* Fiber.interrupt(waiting)
    }
    case 3:
      return yield* Effect.ignore(Job.await(job, { limit: 1 }))
    default:
      return
  }
})

const handles = () => {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  counts.delete("Immediate")
  return JSON.stringify(Object.fromEntries([...counts].toSorted()))
}

const problems: Array<string> = []
const expect = (what: string, found: unknown, right: unknown) => {
  console.log(`${what}: ${String(found)}`)
  if (found !== right) problems.push(`${what} is ${String(found)}, not ${String(right)}`)
}

const program = Effect.gen(function* () {
  const scope = yield* Scope.make()
  const supervisor = yield* Scope.provide(
    Supervisor.make({ concurrency, retain, maxPending: 10 * batch, retainResults: 100, eventHistory: 256 }),
    scope
  )
  const withSupervisor = Effect.provideService(Supervisor.Supervisor, supervisor)
  yield* Effect.sleep(5)
  const fibersBefore = liveFibers
  const handlesBefore = handles()
  const heap: Array<readonly [number, number]> = []
  const start = performance.now()
  let done = 0
  const awaitIdle = withSupervisor(Supervisor.awaitAll({}, { limit: "30 seconds" }))
  for (let sample = 1; sample <= samples; sample++) {
    while (done < (jobs * sample) / samples) {
      yield* withSupervisor(Effect.replicateEffect(one, batch, { concurrency: batch, discard: true }))
      done += batch
    }
    yield* awaitIdle
    yield* Effect.sleep(5)
    gc()
    heap.push([done, process.memoryUsage().heapUsed])
    const perSecond = Math.round(done / ((performance.now() - start) / 1000))
    if (sample % 5 === 0) {
      const megabytes = (process.memoryUsage().heapUsed / 2 ** 20).toFixed(1)
      console.log(`${done.toLocaleString("en")} jobs, ${perSecond.toLocaleString("en")} jobs/s, heap ${megabytes} MB`)
    }
  }

  const { calls, cancelled, completed, failed, pending, running } = yield* supervisor.counts
  console.log(`completed ${completed}, failed ${failed}, cancelled ${cancelled}`)
  expect("jobs waiting or running", pending + running + calls.pending + calls.running, 0)
  expect("records kept", (yield* supervisor.list()).length, retain)
  expect("live fibers", liveFibers, fibersBefore)
  expect("handles", handles(), handlesBefore)

  // All slots are free when as many jobs as there are slots can run at once.
  const filling = yield* withSupervisor(Effect.replicateEffect(Supervisor.submit(Effect.never), concurrency))
  yield* Effect.sleep(5)
  expect("slots free", (yield* supervisor.counts).running, concurrency)
  yield* Effect.forEach(filling, (job) => Job.cancel(job), { discard: true })

  // The first fifth fills the histories and warms the compiler.
  const bytes = slope(heap.slice(samples / 5))
  console.log(`heap slope: ${bytes.toFixed(3)} bytes a job, ${(bytes * 1_000_000).toFixed(0)} bytes a million jobs`)
  if (bytes > mayGrow) problems.push(`the heap grows by ${bytes.toFixed(1)} bytes a job, more than ${mayGrow}`)

  yield* Scope.close(scope, Exit.void)
  expect("fibers after closing", liveFibers, 0)
}).pipe(counting, Effect.provide(Logger.layer([])))

console.log(`${jobs.toLocaleString("en")} jobs, ${concurrency} at a time`)
await Effect.runPromise(program)
for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 ? 0 : 1
