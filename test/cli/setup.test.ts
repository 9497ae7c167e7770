import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FileSystem, Runtime } from "effect"
import { CliOutput, Command } from "effect/cli"
import { Holdfast } from "holdfast/cli"
import { mkdirSync, readdirSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { makeFolder } from "./command.ts"

const prompts = (count: number) =>
  Array.from({ length: count }, (_, n) => `${JSON.stringify({ id: `p-${n}`, prompt: `say ${n}` })}\n`).join("")

/** Runs the command in this process, in a folder with 200 requests, and gives the error it must end with. */
const failing = (args: ReadonlyArray<string>, env: { readonly [name: string]: string } = {}) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const folder = yield* fs.makeTempDirectoryScoped()
    yield* fs.writeFileString(`${folder}/in.jsonl`, prompts(200))
    yield* fs.writeFileString(`${folder}/diary.txt`, "Dear diary\n")
    const inFolder = args.map((arg) =>
      arg.replace(/^(--(?:out|errors)=)?(?=[\w/]+\.(?:jsonl|txt)$|\.$)/, `$1${folder}/`)
    )
    const error = yield* Command.runWith(Holdfast.holdfast, { version: "test", renderErrors: false })([
      "batch",
      ...inFolder,
      "--model=m",
      "--quiet"
    ]).pipe(Effect.flip)
    assert.strictEqual(yield* fs.readFileString(`${folder}/diary.txt`), "Dear diary\n")
    assert.isFalse(yield* fs.exists(`${folder}/out.jsonl.lock`))
    return { error, folder }
  }).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })),
    Effect.provideService(CliOutput.Presenter, { present: () => Effect.void }),
    Effect.provide(NodeServices.layer),
    Effect.scoped
  )

const nobody = "--base-url=http://127.0.0.1:1/v1"

describe("holdfast batch, when it cannot start", () => {
  const cases: ReadonlyArray<readonly [what: string, args: ReadonlyArray<string>, says: RegExp]> = [
    ["no key", ["in.jsonl", "--out=out.jsonl"], /^no key: set the environment variable OPENAI_API_KEY, or /],
    [
      "no key of that name",
      ["in.jsonl", "--out=out.jsonl", nobody, "--api-key-env=NOT_SET"],
      /^no key: set the environment variable NOT_SET, or /
    ],
    ["no input", ["no.jsonl", "--out=out.jsonl", nobody], /^cannot read .*\/no\.jsonl: no such file or folder$/],
    ["a folder as input", [".", "--out=out.jsonl", nobody], /^cannot read .*: it is a folder$/],
    [
      "no folder for the output",
      ["in.jsonl", "--out=no/out.jsonl", nobody],
      /^cannot write .*no\/out\.jsonl: no such file or folder$/
    ],
    [
      "input and output alike",
      ["in.jsonl", "--out=in.jsonl", nobody],
      /must be different files, under all their names$/
    ],
    [
      "errors to the input",
      ["in.jsonl", "--out=out.jsonl", "--errors=in.jsonl", nobody],
      /must be different files, under all their names$/
    ],
    [
      "an output that is not one",
      ["in.jsonl", "--out=diary.txt", nobody],
      /diary\.txt exists and is not all of it what/
    ],
    [
      "errors to something else",
      ["in.jsonl", "--out=out.jsonl", "--errors=diary.txt", nobody],
      /diary\.txt exists and is not all of it what/
    ],
    ["output to nowhere", ["in.jsonl", "--out=-", nobody], /^--out must be a file/],
    [
      "an endpoint that is none",
      ["in.jsonl", "--out=out.jsonl", nobody, "--endpoint=/nope"],
      /^--endpoint must be an endpoint such as \/v1\/embeddings, got "\/nope"$/
    ],
    ["an empty name", ["in.jsonl", "--out=out.jsonl", nobody, "--errors="], /^--errors must be a text that is not/],
    ["no output at all", ["in.jsonl", "--out=", nobody], /^--out must be a text that is not empty/],
    ["no input at all", ["", "--out=out.jsonl", nobody], /^INPUT must be a text that is not empty/],
    ["an empty prompt", ["in.jsonl", "--out=out.jsonl", nobody, "--prompt="], /^--prompt must be a text that is not/],
    ["a base URL that is none", ["in.jsonl", "--out=out.jsonl", "--base-url=ftp://x"], /^--base-url must be a http/],
    [
      "nobody there",
      ["in.jsonl", "--out=out.jsonl", nobody],
      /^cannot reach http:\/\/127\.0\.0\.1:1\/v1: connect ECONNREFUSED .*; check --base-url, or give --patience/
    ],
    [
      "no such host",
      ["in.jsonl", "--out=out.jsonl", "--base-url=http://no.such.invalid/v1"],
      /^cannot reach http:\/\/no\.such\.invalid\/v1: .*no\.such\.invalid; check --base-url, or give --patience/
    ]
  ]
  it.live.each(cases)("says one clear thing about %s, with exit code 2", (row) =>
    Effect.gen(function* () {
      const [, args, says] = row
      const { error } = yield* failing(args)
      assert.match("message" in error ? error.message : "", says)
      assert.strictEqual(Runtime.getErrorExitCode(error), 2)
    })
  )

  it.live("sends nothing more once the key is refused, and writes no failure for it", () =>
    Effect.gen(function* () {
      let asked = 0
      const server = createServer((_, response) => {
        asked += 1
        response.writeHead(401, { "content-type": "application/json" })
        response.end(JSON.stringify({ error: { message: "Incorrect API key provided", code: "invalid_api_key" } }))
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => server.close())
      )
      const { port } = server.address() as AddressInfo
      const { error } = yield* failing(["in.jsonl", "--out=out.jsonl", `--base-url=http://127.0.0.1:${port}/v1`])
      assert.match(
        error.message,
        /does not accept the key: Incorrect API key provided; no key was sent: name the .* --api-key-env$/
      )
      assert.isAtMost(asked, 50)
    })
  )
})

describe("holdfast", () => {
  it("tells the package's version", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const text = yield* fs.readFileString(new URL("../../package.json", import.meta.url).pathname)
      assert.strictEqual(JSON.parse(text).version, Holdfast.version)
    }).pipe(Effect.provide(NodeServices.layer), Effect.runPromise))

  it("keeps its compiled code in the user's own cache, and not where everybody keeps what is temporary", async () => {
    const { path, run } = makeFolder()
    const [shared, own] = [path("shared"), path("own")]
    mkdirSync(shared)
    await run(["--version"], { env: { TMPDIR: shared, XDG_CACHE_HOME: own } })
    assert.deepStrictEqual(readdirSync(shared), [])
    assert.isNotEmpty(readdirSync(join(own, "holdfast")))
  })

  it.each([
    [["batch", "in.jsonl"], /Missing required flag: --out/],
    [["batch", "in.jsonl", "--out=o.jsonl", "--timeout=soon"], /must be a time such as 90s/],
    [["batch", "in.jsonl", "--out=o.jsonl", "--concurrency=0"], /must be at least 1, got 0/],
    [["batch", "in.jsonl", "--out=o.jsonl"], /no key: set the environment variable OPENAI_API_KEY/]
  ])("ends with code 2 and one message on standard error for %j", async (args, says) => {
    const { code, stderr } = await makeFolder().run(args)
    assert.strictEqual(stderr.split("\n").filter((line) => says.test(line)).length, 1)
    assert.strictEqual(code, 2)
  })
})
