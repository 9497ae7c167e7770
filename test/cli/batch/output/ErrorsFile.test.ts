import { NodeServices } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { InvalidLine } from "../../../../src/cli/batch/input/BatchRequest.ts"
import * as IdSet from "../../../../src/cli/batch/input/IdSet.ts"
import * as ErrorsFile from "../../../../src/cli/batch/output/ErrorsFile.ts"
import * as ResultLine from "../../../../src/cli/batch/output/ResultLine.ts"

const failure = (customId: string): string =>
  Buffer.from(
    ResultLine.fromFailed({
      customId,
      line: 1,
      attempts: 1,
      error: new InvalidLine({ line: 1, customId, field: "", problem: "is wrong" })
    })
  ).toString("utf8")

const temporary = Effect.map(
  FileSystem.FileSystem.use((fs) => fs.makeTempDirectoryScoped()),
  (folder) => `${folder}/errors.jsonl`
)

layer(NodeServices.layer)("ErrorsFile", (it) => {
  it.effect("leaves what the last run wrote until this one has begun, and then replaces it", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* temporary
      yield* fs.writeFileString(path, failure("before"))
      const ids = new IdSet.IdSet()
      const { append, begin } = yield* ErrorsFile.open(path, ids)
      assert.strictEqual(ids.mark("before", IdSet.read), IdSet.failed)
      yield* append(Buffer.from(failure("local")), true)
      assert.strictEqual(yield* fs.readFileString(path), failure("before"))
      yield* append(Buffer.from(failure("sent")), false)
      assert.strictEqual(yield* fs.readFileString(path), failure("local") + failure("sent"))
      yield* begin
      assert.strictEqual(yield* fs.readFileString(path), failure("local") + failure("sent"))
    })
  )

  it.effect("takes away the failures of the last run when this one has none", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = yield* temporary
      // Its run was killed while it wrote.
      yield* fs.writeFileString(path, failure("before") + failure("cut").slice(0, 60))
      yield* Effect.flatMap(ErrorsFile.open(path, new IdSet.IdSet()), ({ begin }) => begin)
      assert.isFalse(yield* fs.exists(path))
    })
  )

  it.effect("does not touch a file of which it did not write every line", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const answer = '{"id":"batch_req_1","custom_id":"a","response":{"status_code":200,"body":{}},"error":null}'
      const prompt = '{"id":"p0","prompt":"hi","model":"m"}'
      const others = [`${answer}\n`, answer, `${prompt}\n`, "Dear diary\n", `${failure("a")}${answer}\n`, "\u0000\n"]
      for (const content of others) {
        const path = yield* temporary
        yield* fs.writeFileString(path, content)
        const error = yield* Effect.flip(ErrorsFile.open(path, new IdSet.IdSet()))
        assert.strictEqual(error.reason._tag, "OutputForeign")
        assert.strictEqual(yield* fs.readFileString(path), content)
      }
    })
  )
})
