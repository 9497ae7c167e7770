/** Servers on 127.0.0.1 for as long as a scope is open. */
import { connect, type Server } from "node:net"
import { Worker } from "node:worker_threads"
import { Effect } from "effect"
import { connecting } from "./connecting.ts"

/** Listens on a free port. Connections that clients keep idle are cut at the end. */
export const listening = (server: Server & { closeAllConnections?: () => void }) =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections?.()
      })
  )

/**
 * A listener that never accepts, with its queue full: whoever connects next stays in the middle of connecting. It has all
 * addresses of 127.0.0.0/8, so that connections can be told apart by theirs.
 */
export const neverAccepting = Effect.gen(function* () {
  const worker = yield* Effect.acquireRelease(
    Effect.sync(
      () =>
        new Worker(
          `const { parentPort } = require("node:worker_threads")
           const server = require("node:net").createServer()
           server.listen({ port: 0, host: "0.0.0.0", backlog: 1 }, () => {
             parentPort.postMessage(server.address().port)
             setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0), 10)
           })`,
          { eval: true }
        )
    ),
    (worker) => Effect.promise(() => worker.terminate())
  )
  const port = yield* Effect.callback<number>((resume) => {
    worker.once("message", (port: number) => resume(Effect.succeed(port)))
  })
  yield* Effect.sleep("50 millis")
  for (let filled = 0; filled < 8; filled++) {
    yield* Effect.acquireRelease(
      Effect.sync(() => connect(port, "127.0.0.1").on("error", () => {})),
      (socket) => Effect.sync(() => socket.destroy())
    )
    yield* Effect.sleep("20 millis")
    if (connecting(port).length > 0) return port
  }
  return yield* Effect.die("the queue of the listener never filled")
})
