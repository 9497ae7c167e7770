import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, FileSystem } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { Worker } from "node:worker_threads"
import * as OutputLock from "../../../../src/cli/batch/output/OutputLock.ts"

const temporary = Effect.map(
  FileSystem.FileSystem.use((fs) => fs.makeTempDirectoryScoped()),
  (folder) => `${folder}/out.jsonl`
)

/** What another process gets that wants the lock. */
const inAnotherProcess = (path: string) =>
  Effect.sync(() => {
    const source = new URL("../../../../src/cli/batch/output/OutputLock.ts", import.meta.url)
    const script = `
      const { Effect } = await import("effect")
      const { take } = await import(${JSON.stringify(source)})
      const exit = await Effect.runPromise(Effect.result(Effect.scoped(take(process.argv[1]))))
      console.log(exit._tag === "Success" ? "taken" : exit.failure.reason._tag)`
    const args = ["--conditions=holdfast-source", "--input-type=module", "-e", script, path]
    return spawnSync(process.execPath, args, { encoding: "utf8" }).stdout.trim()
  })

/** What another thread of this process gets that wants it. */
const inAnotherThread = (path: string) =>
  Effect.callback<string>((resume) => {
    const source = new URL("../../../../src/cli/batch/output/OutputLock.ts", import.meta.url)
    const script = `
      const { parentPort, workerData } = require("node:worker_threads")
      Promise.all([import("effect"), import(${JSON.stringify(source)})]).then(async ([{ Effect }, { take }]) => {
        const exit = await Effect.runPromise(Effect.result(Effect.scoped(take(workerData))))
        parentPort.postMessage(exit._tag === "Success" ? "taken" : exit.failure.reason._tag)
      })`
    const thread = new Worker(script, { eval: true, workerData: path, execArgv: ["--conditions=holdfast-source"] })
    thread.once("message", (said: string) => resume(Effect.succeed(said)))
    thread.once("error", (error) => resume(Effect.die(error)))
  })

/** A process that has the lock, until it is killed. */
const holder = (path: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const source = new URL("../../../../src/cli/batch/output/OutputLock.ts", import.meta.url)
      const script = `
        const { Effect } = await import("effect")
        const { take } = await import(${JSON.stringify(source)})
        await Effect.runPromise(Effect.scoped(Effect.andThen(take(process.argv[1]), Effect.suspend(() => {
          console.log("held")
          setInterval(() => {}, 1_000_000)
          return Effect.never
        }))))`
      const args = ["--conditions=holdfast-source", "--input-type=module", "-e", script, path]
      const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
      await once(child.stdout, "data")
      return child
    }),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

layer(NodeServices.layer, { excludeTestServices: true })("OutputLock", (it) => {
  it.effect("lets one in at a time, in this process too, and the next when it has left", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* OutputLock.take(path)
          const error = yield* Effect.flip(OutputLock.take(path))
          assert.deepInclude(error.reason, { _tag: "OutputLocked", lock: `${path}.lock` })
        })
      )
      yield* OutputLock.take(path)
    })
  )

  it.effect("keeps other processes out, however often this one was refused under whichever name", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* temporary
      const folder = path.slice(0, path.lastIndexOf("/"))
      yield* fs.symlink(folder, `${folder}-link`)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* OutputLock.take(path)
          for (const name of [path, path, `${folder}-link/out.jsonl`, `${folder}/./out.jsonl`]) {
            assert.strictEqual((yield* Effect.flip(OutputLock.take(name))).reason._tag, "OutputLocked")
          }
          assert.strictEqual(yield* inAnotherProcess(path), "OutputLocked")
        })
      )
      yield* fs.remove(`${folder}-link`)
      assert.strictEqual(yield* inAnotherProcess(path), "taken")
    })
  )

  it.effect("keeps other threads out, and other processes after that", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* temporary
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* OutputLock.take(path)
          assert.strictEqual((yield* fs.stat(`${path}.lock`)).mode & 0o777, 0o600)
          for (const _ of [1, 2]) assert.strictEqual(yield* inAnotherThread(path), "OutputLocked")
          assert.strictEqual(yield* inAnotherProcess(path), "OutputLocked")
        })
      )
      assert.strictEqual(yield* inAnotherThread(path), "taken")
    })
  )

  it.effect("keeps out of what a live process has locked, and is free the moment that is killed", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      const child = yield* holder(path)
      const error = yield* Effect.flip(OutputLock.take(path))
      assert.strictEqual(error.reason._tag, "OutputLocked")
      assert.isNull(child.exitCode)
      const gone = once(child, "exit")
      child.kill("SIGKILL")
      yield* Effect.promise(() => gone)
      yield* OutputLock.take(path)
    })
  )

  it.effect("leaves nothing but the lock behind, and not even that", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* temporary
      const folder = path.slice(0, path.lastIndexOf("/"))
      for (const content of ["", '{"pid":4194300,"startedAtMillis":1}', '{"pid":-1,"startedAtMillis":1}']) {
        yield* fs.writeFileString(`${path}.lock`, content)
        const held = yield* Effect.scoped(Effect.andThen(OutputLock.take(path), fs.readDirectory(folder)))
        assert.deepStrictEqual([held, yield* fs.readDirectory(folder)], [["out.jsonl.lock"], []])
      }
    })
  )

  it.effect("touches nothing that it did not make: a file, a link, a folder", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* temporary
      const victim = `${path}.victim`
      yield* fs.writeFileString(victim, "")
      for (const make of [
        fs.writeFileString(`${path}.lock`, "precious"),
        fs.symlink(victim, `${path}.lock`),
        fs.makeDirectory(`${path}.lock`)
      ]) {
        yield* make
        const error = yield* Effect.flip(OutputLock.take(path))
        assert.match(error.message, /out\.jsonl\.lock: it is there and not of a batch run/)
        assert.isTrue(yield* fs.exists(`${path}.lock`))
        yield* fs.remove(`${path}.lock`, { recursive: true })
      }
      assert.strictEqual(yield* fs.readFileString(victim), "")
    })
  )

  it.effect("says what is wrong when the lock cannot be written", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      const exit = yield* Effect.exit(OutputLock.take(`${path}/nowhere/out.jsonl`))
      assert.isTrue(Exit.isFailure(exit))
      const error = yield* Effect.flip(exit)
      assert.strictEqual(error.reason._tag, "OutputUnwritable")
    })
  )
})
