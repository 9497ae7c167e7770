/** Places for stores in files, for the laws: on the main thread and in one of its own, dropped in the middle of anything. */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Effect, Layer, PubSub } from "effect"
import { JobStore, type Sqlite } from "holdfast/durable"
import type { JobStoreLaws } from "holdfast/testing"
import { GroupCommit } from "../../src/durable/sqlite/GroupCommit.ts"
import * as ThreadHost from "../../src/durable/sqlite/ThreadHost.ts"
import * as Service from "../../src/durable/store/Service.ts"
import { settingsOf } from "../../src/durable/store/Settings.ts"

// Memory where there is a file system of it: the laws write much, and lose no power.
const base = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()

/** A folder that is gone with its scope. */
export const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(base, "holdfast-jobs-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** What a crash leaves is the file and its log as they are; the store goes on from a copy of them. */
export const onMain =
  (layer: typeof Sqlite.layer): JobStoreLaws.Make =>
  (options) =>
    Effect.map(folder, (base) => {
      let copies = 0
      const path = () => join(base, `jobs-${copies}.db`)
      const crash = Effect.gen(function* () {
        if (copies % 2 === 0) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        const before = path()
        copies++
        for (const ending of ["", "-wal"]) {
          if (existsSync(before + ending)) copyFileSync(before + ending, path() + ending)
        }
      })
      return {
        open: Effect.suspend(() =>
          Effect.map(Layer.build(layer({ ...options, path: path(), host: "main" })), (context) => ({
            store: Context.get(context, JobStore.JobStore),
            crash
          }))
        )
      }
    })

/** A crash ends the thread, whatever it does. */
export const inThread: JobStoreLaws.Make = (options) =>
  Effect.map(folder, (base) => {
    const path = join(base, "jobs.db")
    const settings = settingsOf("Sqlite.layer", options)
    return {
      open: Effect.gen(function* () {
        const signals = yield* Service.makeSignals
        const runner = yield* ThreadHost.open(path, settings, yield* Service.instant)
        const group = yield* Effect.acquireRelease(
          Effect.sync(
            () => new GroupCommit(path, runner, (all) => void all.map((each) => PubSub.publishUnsafe(signals, each)))
          ),
          (each) => each.close
        )
        return { store: Service.make(group, signals, settings.maxTextBytes), crash: runner.terminate }
      })
    }
  })
