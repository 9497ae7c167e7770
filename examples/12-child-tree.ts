// Jobs that start jobs: a child ends with its parent, unless it was handed to the supervisor.
//
// prints: crawl of 3 pages done
// prints: report: running, chapter: running, audit: running
// prints: chapter ended
// prints: report ended
// prints: report: cancelled, chapter: cancelled, audit: running
// prints: audit said: all is well
import { Console, Effect } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

// A job that waits for other jobs lends its slot meanwhile, so this works with one slot, at any depth.
const crawl = (depth: number): Effect.Effect<number, never, Supervisor.Supervisor> =>
  Effect.gen(function* () {
    if (depth === 1) return 1
    const below = yield* Supervisor.run(crawl(depth - 1), { name: `crawl ${depth - 1}` })
    return below + 1
  }).pipe(Effect.orDie)

const longWork = (name: string) => Effect.ensuring(Effect.never, Console.log(`${name} ended`))

const report = Effect.gen(function* () {
  yield* Supervisor.submit(longWork("chapter"), { id: "chapter" })
  const audit = Effect.delay(Effect.succeed("all is well"), "400 millis")
  yield* Supervisor.submit(audit, { id: "audit", owner: "supervisor" })
  return yield* longWork("report")
})

const states = Effect.forEach(["report", "chapter", "audit"], (id) =>
  Effect.map(Supervisor.get(id), ({ state }) => `${id}: ${state}`)
)

const oneSlot = Effect.gen(function* () {
  yield* Console.log(`crawl of ${yield* Supervisor.run(crawl(3), { name: "crawl 3" })} pages done`)
})

const tree = Effect.gen(function* () {
  const parent = yield* Supervisor.submit(report, { id: "report" })
  yield* Effect.sleep("100 millis")
  yield* Console.log((yield* states).join(", "))

  yield* Job.cancel(parent) // ends its child first, then gives its own slot back
  yield* Console.log((yield* states).join(", "))
  yield* Console.log(`audit said: ${String(yield* Job.join(yield* Supervisor.find("audit")))}`)
})

await Effect.runPromise(Effect.provide(oneSlot, Supervisor.layer({ concurrency: 1 })))
await Effect.runPromise(Effect.provide(tree, Supervisor.layer()))
