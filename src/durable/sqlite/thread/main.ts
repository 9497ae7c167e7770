/**
 * What runs in the thread: opens the file, and answers what it is sent until it is told to close.
 */
import { parentPort, workerData } from "node:worker_threads"
import type { Settings } from "../../store/Core.ts"
import type { Operation } from "../../store/Operation.ts"
import type { Instant } from "../../store/Transitions.ts"
import { Engine } from "../Engine.ts"
import { problemOf } from "../Trouble.ts"

const { at, path, settings } = workerData as {
  readonly path: string
  readonly settings: Settings
  readonly at: Instant
}

try {
  const engine = new Engine(path, settings, at)
  parentPort?.on("message", (asked: ReadonlyArray<Operation> | "close") => {
    if (asked !== "close") return parentPort?.postMessage(engine.run(asked))
    engine.close()
    // Nothing is left to do, so the thread ends.
    parentPort?.close()
  })
  parentPort?.postMessage("opened")
} catch (error) {
  parentPort?.postMessage(problemOf(error, path))
}
