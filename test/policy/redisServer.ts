/** A Redis server of our own: on a free port, in a folder of its own, and in our hands to stop and freeze. */
import { spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Schedule } from "effect"

const isInstalled = spawnSync("redis-server", ["--version"]).status === 0

/** Whether tests over Redis are left out, for there is none to start. Where everything must be tested, there must be one. */
export const isLeftOut = !isInstalled && process.env["CI"] === undefined
if (isLeftOut) console.warn("What needs redis-server is not tested: there is none")

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

const answers = (port: number) =>
  Effect.callback<void, Error>((resume) => {
    const socket = connect(port, "127.0.0.1")
    socket.once("error", (error) => resume(Effect.fail(error)))
    socket.once("connect", () => resume(Effect.void))
    return Effect.sync(() => socket.destroy())
  })

/** Starts a server that lives as long as the scope, whatever was done to it. */
export const start = Effect.gen(function* () {
  const port = yield* freePort
  const folder = mkdtempSync(join(tmpdir(), "holdfast-redis-"))
  const launch = () =>
    spawn(
      "redis-server",
      ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"],
      {
        stdio: "ignore"
      }
    )
  const ready = Effect.retry(answers(port), { schedule: Schedule.spaced("20 millis"), times: 250 })
  let server = launch()
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      server.kill("SIGKILL")
      rmSync(folder, { recursive: true, force: true })
    })
  )
  yield* ready
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    stop: Effect.callback<void>((resume) => {
      server.once("exit", () => resume(Effect.void))
      server.kill("SIGKILL")
    }),
    restart: Effect.suspend(() => {
      if (server.exitCode !== null || server.signalCode !== null) server = launch()
      return ready
    }),
    freeze: Effect.sync(() => server.kill("SIGSTOP")),
    thaw: Effect.sync(() => server.kill("SIGCONT"))
  }
})
