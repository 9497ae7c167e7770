import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { JobStore, type JobStoreError, Sqlite } from "holdfast/durable"
import { JobStoreLaws, LeakDetector } from "holdfast/testing"
import { Engine, isNetwork } from "../../src/durable/sqlite/Engine.ts"
import { folder, inThread, onMain } from "./sqlitePlaces.ts"

const mail = { name: "mail", payload: "{}" }
const hosts = ["thread", "main"] as const

const use = <A>(
  layer: Layer.Layer<JobStore.JobStore, JobStoreError.JobStoreError>,
  program: (store: JobStore.Store) => Effect.Effect<A, JobStoreError.JobStoreError>
) => Effect.provide(Effect.flatMap(JobStore.JobStore, program), layer)

const submit = (store: JobStore.Store) => store.submit([mail])

/** The error with which a file is not opened. */
const refusal = (options: Sqlite.Options) => Effect.orDie(Effect.flip(use(Sqlite.layer(options), submit)))

describe("a store in a file", () => {
  it.live(
    "keeps the promises of every store on the main thread, dropped and opened again",
    () =>
      Effect.gen(function* () {
        const report = yield* JobStoreLaws.check(onMain(Sqlite.layer), { runs: 120 })
        assert.isAbove(report.claims, 100)
      }),
    60_000
  )

  it.live(
    "keeps them in a thread of its own, which is ended in the middle of anything",
    () =>
      Effect.gen(function* () {
        const report = yield* JobStoreLaws.check(inThread, { runs: 10, seed: 5_000 })
        assert.isAbove(report.claims, 10)
      }),
    60_000
  )

  it.live.each(hosts)("leaves no thread, timer or lock behind: %s", (host) =>
    Effect.gen(function* () {
      const path = join(yield* folder, "jobs.db")
      const layer = Sqlite.layer({ path, host })
      yield* LeakDetector.check(Effect.asVoid(use(layer, submit)))
      const counts = yield* use(layer, (store) => store.count({}))
      assert.strictEqual(counts.pending, 1)
    })
  )

  it.live.each(hosts)("is owned by one at a time, and the second is told by whom: %s", (host) =>
    Effect.gen(function* () {
      const path = join(yield* folder, "jobs.db")
      const link = join(yield* folder, "link.db")
      yield* use(Sqlite.layer({ path, host }), (store) =>
        Effect.gen(function* () {
          yield* submit(store)
          symlinkSync(path, link)
          for (const other of [path, link]) {
            const { message, reason } = yield* refusal({ path: other, host })
            assert.strictEqual(reason._tag, "Owned")
            assert.include(message, `The job store ${other} is in use by process ${process.pid} on `)
          }
          // The lock holds against other processes, also after it was asked for in this one.
          const lock = `${path}.owner`
          const script = `new (require("node:sqlite").DatabaseSync)(${JSON.stringify(lock)}).exec("BEGIN IMMEDIATE")`
          assert.throws(() => execFileSync(process.execPath, ["-e", script], { stdio: "pipe" }), /database is locked/)
          assert.strictEqual((yield* store.count({})).pending, 1)
        })
      )
    })
  )

  it.live("is readable by its user only, with everything beside it", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "jobs.db")
      writeFileSync(path, "", { mode: 0o644 })
      yield* use(Sqlite.layer({ path }), (store) =>
        Effect.gen(function* () {
          yield* submit(store)
          for (const ending of ["", "-wal", "-shm", ".owner"]) {
            assert.isTrue(existsSync(path + ending), ending)
            assert.strictEqual(statSync(path + ending).mode & 0o777, 0o600, ending)
          }
        })
      )
    })
  )

  it.live.each<[string, (path: string) => void, string, RegExp]>([
    [
      "text",
      (path) => writeFileSync(path, "not a database, but long enough to be one".repeat(50)),
      "Damaged",
      /damaged/
    ],
    [
      "another program's",
      (path) => new DatabaseSync(path).exec("CREATE TABLE users (name TEXT)"),
      "Damaged",
      /another program/
    ],
    [
      "a newer release's",
      (path) => new DatabaseSync(path).exec("PRAGMA application_id = 1213156420; PRAGMA user_version = 99"),
      "Newer",
      /it has version 99, and 1 is the newest/
    ]
  ])("refuses a file that is %s, by its reason, and changes nothing in it", ([, make, tag, says]) =>
    Effect.gen(function* () {
      const path = join(yield* folder, "jobs.db")
      make(path)
      const before = readFileSync(path)
      for (const host of hosts) {
        const { message, reason } = yield* refusal({ path, host })
        assert.strictEqual(reason._tag, tag)
        assert.match(message, says)
      }
      assert.deepStrictEqual(readFileSync(path), before)
    })
  )

  it.live("says what is wrong with a folder that is not there", () =>
    Effect.gen(function* () {
      const { reason } = yield* refusal({ path: "/nowhere/at/all/jobs.db" })
      assert.strictEqual(reason._tag, "Unavailable")
    })
  )

  it("refuses file systems of other machines", () => {
    assert.isTrue(isNetwork(0x6969))
    assert.isFalse(isNetwork(0xef53))
  })

  it.live("goes on after a full disk, and has lost nothing that was acknowledged", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "jobs.db")
      const at = { wallMillis: 1, monotonicMillis: 1 }
      const engine = new Engine(path, { leaseMillis: 1_000, agingMillis: 1_000, maxLost: 3 }, at)
      const database: DatabaseSync = Reflect.get(engine, "database")
      const ask = (id: number, bytes: number) => {
        const jobs = [{ id: `j-${id}`, name: "mail", payload: "x".repeat(bytes), metadata: {} }]
        return engine.run([{ is: "submit", at, of: { jobs } }]).outcomes[0]
      }
      database.exec("PRAGMA max_page_count = 60")
      const acknowledged: Array<number> = []
      const refused = new Set<string>()
      for (let id = 0; id < 100; id++) {
        const outcome = ask(id, 4_000)
        if (outcome?.is === "answer") acknowledged.push(id)
        else refused.add(outcome?.problem._tag ?? "")
      }
      assert.deepStrictEqual(Array.from(refused), ["Full"])
      assert.isAbove(acknowledged.length, 5)
      database.exec("PRAGMA max_page_count = 100000")
      assert.strictEqual(ask(1_000, 4_000)?.is, "answer")
      engine.close()
      yield* use(Sqlite.layer({ path, host: "main" }), (store) =>
        Effect.gen(function* () {
          const ids = (yield* store.list({}, { limit: 1_000 })).jobs.map(({ id }) => id)
          assert.sameMembers(
            ids,
            [...acknowledged, 1_000].map((id) => `j-${id}`)
          )
        })
      )
    })
  )

  it.live("fails only the request that cannot be done, of those that share a transaction", () =>
    Effect.gen(function* () {
      const at = { wallMillis: 1, monotonicMillis: 1 }
      const settings = { leaseMillis: 1_000, agingMillis: 1_000, maxLost: 3 }
      const engine = new Engine(join(yield* folder, "jobs.db"), settings, at)
      const submission = (id: string) => ({ is: "submit", at, of: { jobs: [{ ...mail, id }] } }) as const
      // What no check lets through: SQLite takes no such id.
      const impossible = { is: "get", at, of: { id: undefined as unknown as string } } as const
      const { outcomes, signals } = engine.run([submission("a"), impossible, submission("b")])
      assert.deepStrictEqual(
        outcomes.map(({ is }) => is),
        ["answer", "problem", "answer"]
      )
      assert.strictEqual(signals.length, 2)
      const [counted] = engine.run([{ is: "count", at, of: { filter: {} } }]).outcomes
      assert.deepInclude(counted?.is === "answer" ? counted.answer : {}, { pending: 2 })
      engine.close()
    })
  )

  it.live("shares one transaction among requests that come together", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "jobs.db")
      yield* use(Sqlite.layer({ path }), (store) =>
        Effect.gen(function* () {
          yield* submit(store)
          const before = statSync(`${path}-wal`).size
          yield* Effect.all(
            Array.from({ length: 100 }, () => submit(store)),
            { concurrency: "unbounded" }
          )
          // Each transaction of its own would write at least one page for each table.
          assert.isBelow(statSync(`${path}-wal`).size - before, 100 * 4_096)
        })
      )
    })
  )
})
