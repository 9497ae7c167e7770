/**
 * The connections the kernel is still making (SYN_SENT), by its table. A look at it takes some milliseconds, so many looks
 * are taken by this file as a worker.
 */
import { readFileSync } from "node:fs"
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads"
import { Effect } from "effect"

/** The addresses that were asked for a connection on this port and have not answered. */
export const connecting = (port: number): ReadonlyArray<string> => {
  const remote = new RegExp(`^ *\\d+: \\S+ (\\S{8}):${port.toString(16).toUpperCase().padStart(4, "0")} 02 `, "gm")
  return Array.from(readFileSync("/proc/net/tcp", "latin1").matchAll(remote), ([, address = ""]) =>
    Buffer.from(address, "hex").toReversed().join(".")
  )
}

/** Looks again and again for as long as the scope is open. */
export const watchConnecting = (port: number, onLook: (addresses: ReadonlySet<string>) => void) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      new Worker(new URL(import.meta.url), { workerData: { port } }).on("message", (addresses: ReadonlyArray<string>) =>
        onLook(new Set(addresses))
      )
    ),
    (worker) => Effect.promise(() => worker.terminate())
  )

if (!isMainThread) setInterval(() => parentPort?.postMessage(connecting(workerData.port)), 8)
