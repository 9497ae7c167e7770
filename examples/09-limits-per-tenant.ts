// One tenant submits a hundred jobs, then another its first: nobody takes all the slots, nobody waits behind a backlog.
//
// prints: started first: big big small big
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
    () => Effect.sleep("2 millis"),
    () => Effect.sync(() => running.set(tenant, (running.get(tenant) ?? 0) - 1))
  )

const program = Effect.gen(function* () {
  const big = yield* Effect.replicateEffect(Supervisor.submit(work("big"), { key: "big" }), 100)
  const small = yield* Supervisor.submit(work("small"), { key: "small" })

  yield* Job.awaitAll([...big, small])
  yield* Console.log(`started first: ${started.slice(0, 4).join(" ")}`)
  yield* Console.log(`at most ${most} jobs of one tenant at a time`)
})

// Three slots in all, two of them for any one key. Waiting keys take turns.
await Effect.runPromise(Effect.provide(program, Supervisor.layer({ concurrency: 3, keyConcurrency: 2 })))
