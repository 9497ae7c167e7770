/**
 * Submits, starts and ends jobs in a file as fast as it can, and says each of them on its standard output once the store has
 * acknowledged it; until it is killed. `scripts/explore/crashes.ts` starts it: PATH HOST ROUND.
 */
import { writeSync } from "node:fs"
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Random } from "effect"
import { JobStore, Sqlite } from "holdfast/durable"

const [path = "", host = "thread", round = "0"] = process.argv.slice(2)

/** Whole lines, also when the pipe is full for a while. */
const say = (lines: ReadonlyArray<string>) => {
  let rest = Buffer.from(lines.map((line) => `${line}\n`).join(""))
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest))
    } catch (error) {
      if ((error as { code?: string }).code !== "EAGAIN") throw error
    }
  }
}

const submitter = (number: number) =>
  Effect.gen(function* () {
    const store = yield* JobStore.JobStore
    for (let count = 0; ; count++) {
      const size = yield* Random.nextIntBetween(1, 5)
      const jobs = Array.from({ length: size }, (_, index) => ({
        id: `${round}-${number}-${count}-${index}`,
        name: "work",
        key: `k-${number % 3}`,
        payload: JSON.stringify({ number, count, index }),
        metadata: { round }
      }))
      const submitted = yield* store.submit(jobs)
      say(submitted.map(({ id }) => `submitted ${id}`))
      yield* Effect.sleep(yield* Random.nextIntBetween(0, 4))
    }
  })

const worker = (number: number) =>
  Effect.gen(function* () {
    const store = yield* JobStore.JobStore
    for (;;) {
      const claims = yield* store.claim({ worker: `w-${number}`, slots: 10, names: [{ name: "work" }] })
      say(claims.map(({ token }) => `started ${token.id} ${token.claim}`))
      for (const { token } of claims) {
        yield* store.record(token, [{ _tag: "Step", name: `step-${token.claim}`, value: `"${round}"` }])
        say([`recorded ${token.id} ${token.claim}`])
      }
      yield* store.settle(
        claims.map(({ token }) => ({ token, outcome: { _tag: "Completed", result: `${token.claim}` } }))
      )
      say(claims.map(({ token }) => `ended ${token.id} ${token.claim}`))
      if (claims.length === 0) yield* Effect.sleep(2)
    }
  })

const work = Effect.all(
  [...Array.from({ length: 10 }, (_, number) => submitter(number)), ...Array.from({ length: 4 }, (_, n) => worker(n))],
  { concurrency: "unbounded" }
)

say(["up"])
NodeRuntime.runMain(
  Effect.provide(work, Sqlite.layer({ path, host: host === "main" ? "main" : "thread", maxLost: 1_000_000 }))
)
