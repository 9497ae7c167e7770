/**
 * Keeps jobs in a file: SQLite, with no server to start.
 *
 * What the store has acknowledged is on the disk: it outlives a crash of the process and a loss of power. Requests that come while
 * others are being written share one transaction. One process at a time owns a file; opening it takes back what ran when it was
 * closed, or when its process died.
 *
 * The file and those beside it (`-wal`, `-shm`, `.owner`) hold payloads and results; only the user who runs the process can read
 * them. Copy it with SQLite's own backup and never as a file while it is open. File systems of other machines are refused.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { JobStore, Sqlite } from "holdfast/durable"
 * import { mkdtempSync } from "node:fs"
 * import { tmpdir } from "node:os"
 *
 * const path = `${mkdtempSync(`${tmpdir()}/jobs-`)}/jobs.db`
 * const submit = Effect.flatMap(JobStore.JobStore, (store) => store.submit([{ name: "mail", payload: "{}" }]))
 * const count = Effect.flatMap(JobStore.JobStore, (store) => store.count({ names: ["mail"] }))
 *
 * await Effect.runPromise(Effect.asVoid(Effect.provide(submit, Sqlite.layer({ path }))))
 * const counts = await Effect.runPromise(Effect.provide(count, Sqlite.layer({ path })))
 * counts.pending // => 1
 * ```
 */
import { Effect, Layer, PubSub } from "effect"
import * as OptionCheck from "../core/OptionCheck.ts"
import { JobStore } from "./JobStore.ts"
import type { JobStoreError } from "./JobStoreError.ts"
import { GroupCommit } from "./sqlite/GroupCommit.ts"
import * as Service from "./store/Service.ts"
import * as Settings from "./store/Settings.ts"

export interface Options extends Settings.Options {
  /** The file, in a folder that is there. It is made when it is not. */
  readonly path: string
  /**
   * Where the file is worked on: `thread`, in a thread of its own, so that nothing waits for the disk; or `main`, for bundlers that
   * lose the thread's program. Default `thread`.
   */
  readonly host?: "thread" | "main" | undefined
}

/** What holds where {@link Options} say nothing. */
export const defaults = { ...Settings.defaults, host: "thread" } as const

const check = OptionCheck.of("Sqlite.layer")
const fields: OptionCheck.Fields<Options> = { ...Settings.fields, path: true, host: true }

/**
 * Keeps jobs in a file for the current scope. Fails with `Owned` when another process has it, with `Damaged` when it is none of
 * ours, with `Newer` when a newer release wrote it.
 *
 * Closing does what was asked before, and lets go of the file.
 */
export const layer = (options: Options): Layer.Layer<JobStore, JobStoreError> => {
  check.fields(options, fields)
  const path = check.label("path", options.path)
  const { host = defaults.host } = options
  check.oneOf("host", host, ["thread", "main"])
  const settings = Settings.settingsOf("Sqlite.layer", options)
  return Layer.effect(
    JobStore,
    Effect.gen(function* () {
      const signals = yield* Effect.acquireRelease(Service.makeSignals, PubSub.shutdown)
      const at = yield* Service.instant
      // Loaded when it is needed, so that what runs without files needs no SQLite.
      const { open } = yield* Effect.promise(() =>
        host === "thread" ? import("./sqlite/ThreadHost.ts") : import("./sqlite/MainHost.ts")
      )
      const committed = yield* Effect.acquireRelease(
        Effect.map(
          open(path, settings, at),
          (runner) =>
            new GroupCommit(path, runner, (happened) => {
              for (const signal of happened) PubSub.publishUnsafe(signals, signal)
            })
        ),
        (group) => group.close
      )
      return Service.make(committed, signals, settings.maxTextBytes)
    })
  )
}
