import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect } from "node:net"
import { createServer } from "node:http"
import type { Duplex } from "node:stream"
import { listening } from "../../sockets/listening.ts"
import { makeFolder } from "../command.ts"
import { answered, folder, requests, serving } from "../inProcess.ts"

const prompts = '{"id":"a","prompt":"hi"}\n'

describe("--target", () => {
  const setting = (url: string) => {
    const at = makeFolder()
    at.write("in.jsonl", prompts)
    const dublin = {
      baseUrl: url,
      apiKeyEnv: "DUBLIN_KEY",
      headers: { "x-team": "kelp" },
      model: "kelp-1",
      concurrency: 2,
      prices: { "kelp-1": { input: 1_000_000, output: 0 } }
    }
    at.write("holdfast.config.json", JSON.stringify({ targets: { dublin, bare: {} } }))
    return at
  }
  const args = ["batch", "in.jsonl", "--out=out.jsonl"]
  const env = { DUBLIN_KEY: "key-of-dublin", OPENAI_API_KEY: "key-of-openai" }

  it.live(
    "sends to the server, with the key, headers and model that the configuration names, and counts by its prices",
    () =>
      Effect.gen(function* () {
        const { asked, url } = yield* serving(answered)
        const at = setting(url)
        const { code, stderr } = yield* Effect.promise(() => at.run([...args, "--target=dublin"], { env }))
        assert.strictEqual(code, 0, stderr)
        const [one] = asked
        assert.deepInclude(one?.headers, { authorization: "Bearer key-of-dublin", "x-team": "kelp" })
        assert.strictEqual(JSON.parse(one?.body ?? "").model, "kelp-1")
        assert.match(stderr, /^cost +[1-9]/mu)
      })
  )

  it.live("gives way to flags, and keeps its key and headers from another server that a flag names", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* serving(answered)
      const at = setting("http://127.0.0.1:1/v1")
      const given = [...args, "--target=dublin", `--base-url=${url}`, "--model=other"]
      const first = yield* Effect.promise(() => at.run(given, { env }))
      assert.strictEqual(first.code, 0, first.stderr)
      const second = [...given, "--out=again.jsonl", "--api-key-env=DUBLIN_KEY", "--header=x-team: mine"].filter(
        (arg) => arg !== "--out=out.jsonl"
      )
      yield* Effect.promise(() => at.run(second, { env }))
      assert.deepStrictEqual(
        asked.map(({ body, headers }) => [JSON.parse(body).model, headers.authorization, headers["x-team"]]),
        [
          ["other", undefined, undefined],
          ["other", "Bearer key-of-dublin", "mine"]
        ]
      )
    })
  )

  it.live("says which targets there are, and what is wrong with the file", () =>
    Effect.gen(function* () {
      const at = setting("http://127.0.0.1:1/v1")
      const says = (name: string) =>
        Effect.map(
          Effect.promise(() => at.run([...args, `--target=${name}`], { env })),
          ({ code, stderr }) => `${code} ${stderr.trim().replaceAll(/\s+/gu, " ")}`
        )
      assert.include(
        yield* says("toString"),
        "2 ERROR holdfast.config.json has no target toString; it has dublin, bare"
      )
      at.write("holdfast.config.json", '{"targets":{"a":{"baseURL":"http://x"}}}')
      assert.match(yield* says("a"), /^2 ERROR holdfast\.config\.json is not as it should be: .*baseURL/u)
    })
  )
})

it.live("--proxy goes to the server through the proxy, whatever the environment says", () =>
  Effect.gen(function* () {
    const { asked, url } = yield* serving(answered)
    const joined: Array<string | undefined> = []
    const sockets: Array<Duplex> = []
    const proxy = createServer().on("connect", (request, socket) => {
      joined.push(request.url)
      const server = connect(Number(new URL(url).port), "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n")
        server.pipe(socket)
        socket.pipe(server)
      })
      for (const each of [server, socket]) sockets.push(each.on("error", () => undefined))
    })
    const port = yield* listening(proxy)
    yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => socket.destroy())))
    const { batch, lines, write } = yield* folder
    write("in.jsonl", requests(2))
    const run = (through: string) =>
      batch(["in.jsonl", "--out=out.jsonl", "--base-url=http://kelp.test/v1", `--proxy=${through}`, "--concurrency=1"])
    assert.strictEqual((yield* run(`http://127.0.0.1:${port}`)).code, 0)
    assert.deepStrictEqual([lines("out.jsonl").length, asked.length], [2, 2])
    assert.deepStrictEqual([...new Set(joined)], ["kelp.test:80"])
    const { code, message } = yield* run("socks5://user:CANARY@127.0.0.1:1")
    assert.deepStrictEqual([code, message], [2, "proxy must be an http or https URL, got one of socks5:"])
  })
)
