import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, FileSystem } from "effect"
import { spawnSync } from "node:child_process"
import * as OutputLock from "../../../../src/cli/OutputLock.ts"

const temporary = Effect.map(
  FileSystem.FileSystem.use((fs) => fs.makeTempDirectoryScoped()),
  (folder) => `${folder}/out.jsonl`
)

const owner = (pid: number) => JSON.stringify({ pid, startedAtMillis: 1 })

/** The id of a process that has ended, and been waited for. */
const deadPid = () => spawnSync(process.execPath, ["--version"]).pid

layer(NodeServices.layer, { excludeTestServices: true })("OutputLock", (it) => {
  it.effect("lets one in at a time, in this process too, and the next when it has left", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* OutputLock.take(path)
          const error = yield* Effect.flip(OutputLock.take(path))
          assert.deepInclude(error.reason, { _tag: "OutputLocked", pid: process.pid, lock: `${path}.lock` })
        })
      )
      yield* OutputLock.take(path)
    })
  )

  it.effect("keeps out of what a live process has locked", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      yield* FileSystem.FileSystem.use((fs) => fs.writeFileString(`${path}.lock`, owner(process.ppid)))
      const error = yield* Effect.flip(OutputLock.take(path))
      assert.deepInclude(error.reason, { _tag: "OutputLocked", pid: process.ppid })
    })
  )

  it.effect("takes over from a process that is gone, one that had this process's id, and a lock that was cut", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      for (const content of [owner(deadPid()), owner(process.pid), "", '{"pid":']) {
        const path = yield* temporary
        yield* fs.writeFileString(`${path}.lock`, content)
        yield* Effect.scoped(OutputLock.take(path))
        assert.isFalse(yield* fs.exists(`${path}.lock`))
      }
    })
  )

  it.effect("leaves nothing but the lock behind, and not even that", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* temporary
      const folder = path.slice(0, path.lastIndexOf("/"))
      yield* fs.writeFileString(`${path}.lock`, owner(deadPid()))
      const held = yield* Effect.scoped(Effect.andThen(OutputLock.take(path), fs.readDirectory(folder)))
      assert.deepStrictEqual([held, yield* fs.readDirectory(folder)], [["out.jsonl.lock"], []])
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
