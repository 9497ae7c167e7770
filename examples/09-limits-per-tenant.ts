// One tenant submits forty jobs, then another its first: nobody takes all the slots, nobody waits behind a backlog.
//
// prints: the small one was among the first three to start
// prints: at most 2 jobs of one tenant at a time
import { Console, Effect } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

const started: Array<string> = []
const running = new Map<string, number>()
let most = 0

const work = (tenant: string) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      started.push(tenant)
      running.set(tenant, (running.get(tenant) ?? 0) + 1)
      most = Math.max(most, running.get(tenant) ?? 0)
    }),
    () => Effect.sleep("10 millis"),
    () => Effect.sync(() => running.set(tenant, (running.get(tenant) ?? 0) - 1))
  )

const program = Effect.gen(function* () {
  const big = yield* Effect.replicateEffect(Supervisor.submit(work("big"), { key: "big" }), 40)
  const small = yield* Supervisor.submit(work("small"), { key: "small" })

  yield* Job.awaitAll([...big, small])
  const early = started.slice(0, 3).includes("small")
  yield* Console.log(`the small one was ${early ? "" : "not "}among the first three to start`)
  yield* Console.log(`at most ${most} jobs of one tenant at a time`)
})

// Three slots in all, two of them for any one key. Waiting keys take turns.
await Effect.runPromise(Effect.provide(program, Supervisor.layer({ concurrency: 3, keyConcurrency: 2 })))
