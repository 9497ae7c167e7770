/** A Redis server of our own: on a free port, in a folder of its own, and in our hands to stop and freeze. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeRedis } from "@effect/platform-node"
import { Data, Effect, Random } from "effect"
import { BoundedClose } from "holdfast/core"

const isInstalled = spawnSync("redis-server", ["--version"]).status === 0

/** Whether tests over Redis are left out, for there is none to start. Where everything must be tested, there must be one. */
export const isLeftOut = !isInstalled && process.env["CI"] === undefined
if (isLeftOut) console.warn("What needs redis-server is not tested: there is none")

/** A port outside of those from which connections get theirs, so that nobody takes it while its server is away. */
const anyPort = Random.nextIntBetween(20_000, 32_000)

class NotStarted extends Data.TaggedError("NotStarted")<{ readonly said: string }> {}

/** Starts a server, and waits until it says itself that it can be reached: at its port there might be another's. */
const launch = (port: number, folder: string) =>
  Effect.callback<ChildProcess, NotStarted>((resume) => {
    const options = ["--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"]
    const server = spawn("redis-server", ["--port", `${port}`, ...options], { stdio: ["ignore", "pipe", "ignore"] })
    let said = ""
    server.once("exit", () => resume(Effect.fail(new NotStarted({ said }))))
    server.stdout.setEncoding("utf8").on("data", (piece: string) => {
      said = (said + piece).slice(-10_000)
      if (said.includes("Ready to accept connections")) resume(Effect.succeed(server))
    })
    return Effect.sync(() => server.kill("SIGKILL"))
  })

const hasEnded = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null

const end = (server: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (hasEnded(server)) return resume(Effect.void)
    server.once("exit", () => resume(Effect.void))
    server.kill("SIGKILL")
  })

/** Starts a server that lives as long as the scope, whatever was done to it. */
export const start = Effect.gen(function* () {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-redis-"))
  let server: ChildProcess | undefined
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      Effect.suspend(() => (server === undefined ? Effect.void : end(server))),
      Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
    )
  )
  const launchAt = (port: number) =>
    Effect.map(Effect.timeout(launch(port, folder), "10 seconds"), (started) => {
      server = started
      return port
    }).pipe(Effect.uninterruptible)
  const port = yield* Effect.retry(Effect.flatMap(anyPort, launchAt), { times: 5 })
  const current = Effect.suspend(() => (server === undefined ? Effect.die("no server") : Effect.succeed(server)))
  const signal = (name: NodeJS.Signals) => Effect.map(current, (present) => void present.kill(name))
  return {
    url: `redis://127.0.0.1:${port}`,
    stop: Effect.flatMap(current, end),
    restart: Effect.flatMap(current, (present) =>
      hasEnded(present) ? Effect.asVoid(Effect.retry(launchAt(port), { times: 5 })) : Effect.void
    ),
    freeze: signal("SIGSTOP"),
    thaw: signal("SIGCONT")
  }
})

/** Connects to a server, and leaves it whatever has become of it. */
export const connection = (url: string) =>
  BoundedClose.layer(NodeRedis.layer({ url }), {
    limit: "200 millis",
    abandon: Effect.map(NodeRedis.NodeRedis, ({ client }) => client.destroy())
  })
