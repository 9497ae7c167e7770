/**
 * Works on a file on the main thread: nothing else runs while a transaction is being written.
 */
import { Effect } from "effect"
import type { JobStoreError } from "../JobStoreError.ts"
import type { Settings } from "../store/Core.ts"
import type { Instant } from "../store/Transitions.ts"
import { Engine } from "./Engine.ts"
import { errorOf, type Runner } from "./GroupCommit.ts"
import { problemOf } from "./Trouble.ts"

/** Opens a file. */
export const open = (path: string, settings: Settings, at: Instant): Effect.Effect<Runner, JobStoreError> =>
  Effect.suspend(() => {
    try {
      const engine = new Engine(path, settings, at)
      return Effect.succeed({
        run: (operations, done) => done(engine.run(operations)),
        close: Effect.sync(() => engine.close())
      })
    } catch (error) {
      return Effect.fail(errorOf(path, problemOf(error, path)))
    }
  })
