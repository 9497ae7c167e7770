import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { statSync } from "node:fs"
import * as IdSet from "../../../../src/cli/batch/input/IdSet.ts"
import * as OutputFile from "../../../../src/cli/batch/output/OutputFile.ts"
import * as ResultLine from "../../../../src/cli/batch/output/ResultLine.ts"

const answer = (customId: string): string =>
  Buffer.from(
    ResultLine.fromAnswered({
      customId,
      line: 1,
      status: 200,
      requestId: undefined,
      body: Buffer.from('{"text":"é"}')
    })
  ).toString("utf8")

const temporary = Effect.map(
  FileSystem.FileSystem.use((fs) => fs.makeTempDirectoryScoped()),
  (folder) => `${folder}/out.jsonl`
)

/** Opens a file with this content, appends `c`, and gives what was found, what is in the file then, and the ids. */
const reopen = (content: string | Uint8Array) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* temporary
    yield* fs.writeFile(path, typeof content === "string" ? new TextEncoder().encode(content) : content)
    const ids = new IdSet.IdSet()
    const found = yield* Effect.scoped(
      Effect.tap(OutputFile.open(path, ids), ({ append }) => append(Buffer.from(answer("c"))))
    )
    const known = (id: string) => ids.mark(id, IdSet.read) === IdSet.answered
    return { found, text: yield* fs.readFileString(path), known }
  })

layer(NodeServices.layer)("OutputFile", (it) => {
  it.effect("makes a file that is not there, and marks the answers of one that is", () =>
    Effect.gen(function* () {
      const { found, known, text } = yield* reopen(answer("a") + answer("b"))
      assert.deepInclude(found, { answered: 2, cutBytes: 0, otherLines: 0 })
      assert.strictEqual(text, answer("a") + answer("b") + answer("c"))
      assert.isTrue(known("a") && known("b") && !known("c"))

      const path = yield* temporary
      const opened = yield* Effect.scoped(OutputFile.open(path, new IdSet.IdSet()))
      assert.strictEqual(opened.answered, 0)
    })
  )

  it.effect(
    "mends a file that was cut anywhere: no whole answer is lost, and no answer is merged into a torn line",
    () =>
      Effect.gen(function* () {
        const whole = new TextEncoder().encode(answer("a") + answer("b"))
        const first = new TextEncoder().encode(answer("a")).length
        for (let end = 0; end <= whole.length; end++) {
          const { found, known, text } = yield* reopen(whole.subarray(0, end))
          // An answer that lacks nothing but its line end is an answer.
          const kept = end >= whole.length - 1 ? ["a", "b"] : end >= first - 1 ? ["a"] : []
          assert.strictEqual(text, [...kept, "c"].map(answer).join(""), `cut at ${end}`)
          assert.strictEqual(found.answered, kept.length)
          assert.deepStrictEqual([known("a"), known("b")], [kept.includes("a"), kept.includes("b")])
        }
      }),
    { timeout: 60_000 }
  )

  it.effect("says how many bytes it cut away", () =>
    Effect.gen(function* () {
      const { found } = yield* reopen(`${answer("a")}{"id":"batch`)
      assert.strictEqual(found.cutBytes, 12)
    })
  )

  it.effect("leaves other lines alone, such as what a power failure made of one, and does not count them", () =>
    Effect.gen(function* () {
      const before = `${answer("a")}\u0000\u0000\n${answer("b")}`
      const { found, text } = yield* reopen(before)
      assert.deepInclude(found, { answered: 2, otherLines: 1 })
      assert.strictEqual(text, before + answer("c"))
    })
  )

  it.effect("does not touch a file that holds something else", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      for (const content of ["Dear diary\n", "Dear diary", '{"prompt":"hello"}\n']) {
        const path = yield* temporary
        yield* fs.writeFileString(path, content)
        const error = yield* Effect.flip(OutputFile.open(path, new IdSet.IdSet()))
        assert.strictEqual(error.reason._tag, "OutputForeign")
        assert.strictEqual(yield* fs.readFileString(path), content)
      }
    })
  )

  it.effect("says what is wrong with a path that cannot be written", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      const inNowhere = yield* Effect.flip(OutputFile.open(`${path}/nowhere/out.jsonl`, new IdSet.IdSet()))
      assert.strictEqual(inNowhere.message, `cannot write ${path}/nowhere/out.jsonl: no such file or folder`)
      const folder = path.slice(0, path.lastIndexOf("/"))
      const isFolder = yield* Effect.flip(OutputFile.open(folder, new IdSet.IdSet()))
      assert.strictEqual(isFolder.message, `cannot write ${folder}: it is a folder`)
    })
  )

  it.effect("keeps lines whole that many write at once", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* temporary
      const ids = Array.from({ length: 500 }, (_, n) => `id-${n}`)
      const { append } = yield* OutputFile.open(path, new IdSet.IdSet())
      yield* Effect.forEach(ids, (id) => append(Buffer.from(answer(id))), { concurrency: "unbounded", discard: true })
      const lines = (yield* fs.readFileString(path)).trimEnd().split("\n")
      assert.deepStrictEqual(lines.map((line) => JSON.parse(line).custom_id).toSorted(), ids.toSorted())
    })
  )

  it.effect("leaves a last line alone that it did not write", () =>
    Effect.gen(function* () {
      const { found, text } = yield* reopen(`${answer("a")}a note of mine`)
      assert.deepInclude(found, { answered: 1, cutBytes: 0 })
      assert.strictEqual(text, `${answer("a")}a note of mine\n${answer("c")}`)
    })
  )

  it.effect("goes on in a file of a batch whose lines are all failures", () =>
    Effect.gen(function* () {
      const before = '{"custom_id":"a","response":{"status_code":400,"request_id":"x","body":{}},"error":null}\n'
      const { found, known } = yield* reopen(before)
      assert.deepStrictEqual([found.answered, known("a")], [0, false])
    })
  )

  it.effect("makes a file that only its user can read", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      yield* Effect.scoped(OutputFile.open(path, new IdSet.IdSet()))
      assert.strictEqual(statSync(path).mode & 0o077, 0)
    })
  )

  it.effect(
    "puts a file back that was removed meanwhile, and copies its answers where another was put in its place",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const path = yield* temporary
        const file = yield* OutputFile.open(path, new IdSet.IdSet())
        yield* file.append(Buffer.from(answer("a")))
        yield* fs.remove(path)
        yield* file.append(Buffer.from(answer("b")))
        yield* file.sync
        yield* file.append(Buffer.from(answer("c")))
        assert.strictEqual(yield* fs.readFileString(path), ["a", "b", "c"].map(answer).join(""))

        yield* fs.remove(path)
        yield* fs.writeFileString(path, "precious\n")
        yield* file.append(Buffer.from(answer("d")))
        const error = yield* Effect.flip(file.sync)
        assert.match(error.message, /another file was put in its place; all answers are in .*\.rescued$/)
        assert.strictEqual(yield* fs.readFileString(path), "precious\n")
        assert.strictEqual(yield* fs.readFileString(`${path}.rescued`), ["a", "b", "c", "d"].map(answer).join(""))
      })
  )
})
