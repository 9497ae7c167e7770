import { existsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { JobStore, Sqlite } from "holdfast/durable"
import * as crashes from "../../scripts/explore/crashes.ts"
import { Chance } from "../../src/testing/seed/Chance.ts"
import { folder } from "./sqlitePlaces.ts"

// A process that is killed loses nothing that was handed to the system, so a file system in memory shows as much.
const within = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()

describe("a process that is killed", () => {
  it("has lost nothing that it had acknowledged, and overwritten nothing", { timeout: 120_000 }, async () => {
    const chance = new Chance(20_261_129)
    const plan = { host: "thread", kills: 5, lines: 400, within, random: () => chance.next() } as const
    const { acknowledged, broken, kills } = await crashes.run(plan)
    assert.deepStrictEqual(broken, [])
    assert.strictEqual(kills, 5)
    assert.isAbove(acknowledged, 100)
  })

  it.live("is caught when it has: the check sees what is lost, undone, overwritten and started too often", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "jobs.db")
      const program = Effect.gen(function* () {
        const store = yield* JobStore.JobStore
        yield* store.submit(["a", "b", "c"].map((id) => ({ id, name: "work", payload: "0" })))
        const claims = yield* store.claim({ worker: "w", slots: 2, names: [{ name: "work" }] })
        yield* store.settle(claims.map(({ token }) => ({ token, outcome: { _tag: "Completed", result: "1" } })))
      })
      yield* Effect.provide(program, Sqlite.layer({ path, host: "main" }))
      const said = (claim: number, ended: number | undefined, recorded = 0) => ({
        killsBefore: 0,
        claim,
        recorded,
        ended
      })
      const look = (id: string, what: crashes.Said, kills = 1) =>
        Effect.promise(() => crashes.check(path, new Map([[id, what]]), kills))
      assert.deepStrictEqual(yield* look("a", said(1, 1)), [])
      assert.deepStrictEqual(yield* look("z", said(0, undefined)), ["z was acknowledged and is lost"])
      assert.deepStrictEqual(yield* look("a", said(2, undefined)), ["a was started with claim 2, and has 1"])
      assert.deepStrictEqual(yield* look("a", said(1, 2)), ["a had ended with 2, and is completed with 1"])
      assert.deepStrictEqual(yield* look("c", said(0, 1)), ["c had ended with 1, and is pending with undefined"])
      assert.deepStrictEqual(yield* look("b", said(1, 1, 1)), ["b had recorded step 1, which is lost"])
      assert.deepStrictEqual(yield* look("b", said(1, 1), -1), ["b was started 1 times in -1 kills"])
    })
  )
})
