// The policies are not only for models: a job reads a database that is locked for a while, and then breaks.
//
// prints: 40 rows, at most 5 queries at once
// prints: those that found the database locked were sent again
// prints: broken, it was asked 3 times, and 7 queries were turned away
import { Console, Data, Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { Verdict } from "holdfast/core"
import { Bulkhead, CircuitBreaker, Retry, Timeout } from "holdfast/policy"
import { Supervisor } from "holdfast/supervisor"

class QueryFailed extends Data.TaggedError("QueryFailed")<{ readonly isLocked: boolean; readonly cause: unknown }> {}
type Failed = QueryFailed | Bulkhead.Refusal | CircuitBreaker.CircuitOpen
// One function says what an error means; each policy reads from it what it decides by.
const classify = (error: Failed): Verdict.Classification => {
  if (error._tag !== "QueryFailed") return { blame: "none" }
  return error.isLocked ? { blame: "busy" } : { blame: "fault", retryable: false }
}

const folder = mkdtempSync(join(tmpdir(), "stock-"))
const [database, writer] = [new DatabaseSync(join(folder, "db")), new DatabaseSync(join(folder, "db"))]
database.exec("CREATE TABLE stock (item INTEGER, amount INTEGER); INSERT INTO stock VALUES (1, 30)")

const unlock = Effect.sync(() => writer.exec("COMMIT"))
const remove = Effect.sync(() => rmSync(folder, { recursive: true }))
const seen = { queries: 0, now: 0, most: 0 }
const query = Effect.gen(function* () {
  seen.queries++
  seen.most = Math.max(seen.most, ++seen.now)
  yield* Effect.sleep("5 millis") // the way to a server
  seen.now--
  return yield* Effect.try({
    try: () => database.prepare("SELECT amount FROM stock WHERE item = 1").get(),
    catch: (cause) => new QueryFailed({ isLocked: String(cause).includes("locked"), cause })
  })
})

const program = Effect.gen(function* () {
  const limited = yield* Bulkhead.make({ concurrency: 5 })
  const guarded = (yield* CircuitBreaker.make({ classify, consecutive: 3 }))("stock")
  const retried = Retry.effect({ classify })
  // Innermost first. Each attempt takes a place of its own, so that none is held while waiting to try again.
  const read = query.pipe(limited, guarded, retried, Timeout.effect("10 seconds"))
  writer.exec("BEGIN EXCLUSIVE")
  yield* Effect.forkChild(Effect.delay(unlock, "12 millis"))
  const rows = yield* Effect.replicateEffect(read, 40, { concurrency: "unbounded" })
  yield* Console.log(`${rows.length} rows, at most ${seen.most} queries at once`)
  if (seen.queries > 40) yield* Console.log("those that found the database locked were sent again")
  seen.queries = 0
  database.exec("DROP TABLE stock")
  const errors = yield* Effect.replicateEffect(Effect.flip(read), 10)
  const turnedAway = errors.filter((error) => error._tag === "CircuitOpen").length
  yield* Console.log(`broken, it was asked ${seen.queries} times, and ${turnedAway} queries were turned away`)
}).pipe(Effect.ensuring(remove))

await Effect.runPromise(Effect.provide(Supervisor.run(program, { name: "stock" }), Supervisor.layer()))
