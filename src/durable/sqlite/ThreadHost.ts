/**
 * Works on a file in a thread of its own: the main thread never waits for the disk.
 */
import { Effect, Exit } from "effect"
import { Worker } from "node:worker_threads"
import type { JobStoreError } from "../JobStoreError.ts"
import type { Settings } from "../store/Core.ts"
import type { Instant } from "../store/Transitions.ts"
import type { Batch } from "./Engine.ts"
import { errorOf, type Runner } from "./GroupCommit.ts"
import type { Problem } from "./Trouble.ts"

/** A runner that can be dropped as a crash would. */
export interface ThreadRunner extends Runner {
  readonly terminate: Effect.Effect<void>
}

/** Opens a file in a thread. Interrupted, it ends the thread. */
export const open = (path: string, settings: Settings, at: Instant): Effect.Effect<ThreadRunner, JobStoreError> =>
  Effect.suspend(() => {
    // In the sources and in the compiled package the thread's program has the ending of this file.
    const [, ending = ".js"] = /(\.[jt]s)(?:\?|$)/.exec(import.meta.url) ?? []
    const program = new URL(`./thread/main${ending}`, import.meta.url)
    const worker = new Worker(program, { workerData: { path, settings, at }, execArgv: [] })
    const gone: Problem = { _tag: "Unavailable", problem: "its thread has ended" }
    let problem: Problem | undefined
    let waiting: ((answer: Batch | Problem) => void) | undefined
    const answer = (said: Batch | Problem) => {
      const waits = waiting
      waiting = undefined
      // A process that has nothing else to do may end.
      worker.unref()
      waits?.(said)
    }
    worker.on("error", (error) => {
      problem = { _tag: "Unavailable", problem: `its thread has ended: ${String(error)}` }
    })
    worker.on("exit", () => {
      problem ??= gone
      answer(problem)
    })
    const terminate = Effect.asVoid(Effect.promise(() => worker.terminate()))
    const runner: ThreadRunner = {
      run: (operations, done) => {
        if (problem !== undefined) return done(problem)
        try {
          worker.postMessage(operations)
          waiting = done
          worker.ref()
        } catch (error) {
          done({ _tag: "Unavailable", problem: `it cannot be sent: ${String(error)}` })
        }
      },
      close: Effect.callback<void>((resume) => {
        if (problem !== undefined) return resume(Effect.void)
        worker.ref()
        worker.once("exit", () => resume(Effect.void))
        worker.postMessage("close")
      }),
      terminate
    }
    return Effect.callback<ThreadRunner, JobStoreError>((resume) => {
      waiting = (said) => resume(Effect.fail(errorOf(path, "outcomes" in said ? gone : said)))
      worker.once("message", (said: "opened" | Problem) => {
        if (said !== "opened") return answer(said)
        worker.on("message", answer)
        waiting = undefined
        worker.unref()
        resume(Effect.succeed(runner))
      })
    }).pipe(Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : terminate)))
  })
