/** Faults that files, answers, servers and terminals of others once caused, each by its kind. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { linkSync, statSync, symlinkSync } from "node:fs"
import { gzipSync } from "node:zlib"
import { completion } from "../sockets/openaiWire.ts"
import { answered, folder, requests, serving, type Answer } from "./inProcess.ts"

const failing =
  (status: number, code: string, message: string): Answer =>
  () => ({ status, body: JSON.stringify({ error: { message, type: code, param: null, code } }) })

const quiet = (url: string, ...more: ReadonlyArray<string>) => [
  "in.jsonl",
  "--out=out.jsonl",
  `--base-url=${url}`,
  "--quiet",
  ...more
]

const ids = (lines: ReadonlyArray<string>) => lines.map((line) => JSON.parse(line).custom_id).toSorted()

describe("holdfast batch, with files of others", () => {
  it.live("removes neither answers nor prompts that are given as its errors file, under any name", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* serving(answered)
      const { batch, path, read, write } = yield* folder
      write("in.jsonl", requests(2))
      yield* batch(quiet(url))
      const answers = read("out.jsonl")
      write("prompts.jsonl", '{"id":"p0","prompt":"hi","model":"m"}\n')
      write("other.errors.jsonl", answers)
      symlinkSync(path("in.jsonl"), path("link.jsonl"))
      linkSync(path("in.jsonl"), path("hard.jsonl"))
      const tried = [
        yield* batch(["in.jsonl", "--out=new.jsonl", "--errors=out.jsonl", `--base-url=${url}`]),
        yield* batch(["in.jsonl", "--out=new.jsonl", "--errors=prompts.jsonl", `--base-url=${url}`]),
        yield* batch(["in.jsonl", "--out=other.jsonl", `--base-url=${url}`]),
        yield* batch(["link.jsonl", "--out=new.jsonl", "--errors=in.jsonl", `--base-url=${url}`]),
        yield* batch(["hard.jsonl", "--out=new.jsonl", "--errors=in.jsonl", `--base-url=${url}`])
      ]
      assert.deepStrictEqual(
        tried.map(({ code }) => code),
        [2, 2, 2, 2, 2]
      )
      assert.deepStrictEqual([read("out.jsonl"), read("other.errors.jsonl")], [answers, answers])
      assert.deepStrictEqual([read("in.jsonl"), asked.length], [requests(2), 2])
      assert.strictEqual(statSync(path("out.jsonl")).mode & 0o077, 0)
    })
  )

  it.live("lets one run at a time write an output, whatever it is called", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* serving(() => ({ delay: 300 }))
      const { batch, lines, path, write } = yield* folder
      write("in.jsonl", requests(3))
      write("out.jsonl", "")
      symlinkSync("out.jsonl", path("other.jsonl"))
      const [one, other] = yield* Effect.all(
        [
          batch(quiet(url)),
          Effect.delay(batch(["in.jsonl", "--out=other.jsonl", "--errors=e.jsonl", `--base-url=${url}`]), "100 millis")
        ],
        { concurrency: 2 }
      )
      assert.deepStrictEqual([one?.code, other?.code, lines("out.jsonl").length, asked.length], [0, 2, 3, 3])
      assert.match(other?.message ?? "", /another run is writing/)
    })
  )

  it.live("keeps the last errors file where it cannot start", () =>
    Effect.gen(function* () {
      const { url } = yield* serving(failing(400, "unknown_parameter", "Unknown parameter"))
      const { batch, read, write } = yield* folder
      write("in.jsonl", `nonsense\n${requests(2)}`)
      yield* batch(quiet(url))
      const before = read("out.errors.jsonl")
      assert.strictEqual(before.split("\n").length, 4)
      const { code, message } = yield* batch(quiet("http://127.0.0.1:1/v1"))
      assert.deepStrictEqual([code, read("out.errors.jsonl")], [2, before])
      assert.match(message, /^cannot reach http:\/\/127\.0\.0\.1:1\/v1: .*ECONNREFUSED/)
    })
  )

  it.live("does not take the failed lines of a batch for answers", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* serving(answered)
      const { batch, write } = yield* folder
      write("in.jsonl", requests(3))
      const line = (id: string, status: number) =>
        `{"id": "batch_req_1", "custom_id": "${id}", "response": {"status_code": ${status}, "request_id": "", "body": {}}, "error": null}\n`
      write("out.jsonl", line("r0", 400) + line("r1", 0))
      assert.deepStrictEqual([(yield* batch(quiet(url))).code, asked.length], [0, 3])
    })
  )

  it.live("says what a file is that has no lines", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* serving(answered)
      const { batch, write } = yield* folder
      const files: ReadonlyArray<readonly [content: string | Uint8Array, says: RegExp]> = [
        [Buffer.from(requests(1), "utf16le"), /UTF-16/],
        [Buffer.from(`\uFEFF${requests(1)}`, "utf16le"), /UTF-16/],
        [`[${requests(1)}]`, /a JSON array/],
        ['{\n  "custom_id": "a"\n}\n', /over several lines/],
        [Buffer.from("PK\u0003\u0004 and so on"), /zip archive/],
        [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x0a]), /packed with zstd: .* zstd -dc$/],
        [Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]), /packed with xz: /],
        ["BZh91AY&SY\n", /packed with bzip2: /]
      ]
      for (const [content, says] of files) {
        write("in.jsonl", content)
        const { code, message } = yield* batch(quiet(url))
        assert.strictEqual(code, 2)
        assert.match(message, says)
      }
      assert.strictEqual(asked.length, 0)
    })
  )

  it.live("reads a packed file, and a table with a template", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* serving(answered)
      const { batch, lines, write } = yield* folder
      write("in.gz", gzipSync(requests(3)))
      write("rows.csv", '\uFEFFid,text\r\na,"one, ""two""\nthree"\r\nb,\r\n')
      yield* batch(["in.gz", "--out=out.jsonl", `--base-url=${url}`, "--quiet"])
      const table = [
        "rows.csv",
        "--out=rows.jsonl",
        `--base-url=${url}`,
        "--quiet",
        "--model=m",
        "--prompt=Sort: {{ text }}"
      ]
      yield* batch(table)
      assert.deepStrictEqual(
        [ids(lines("out.jsonl")), ids(lines("rows.jsonl"))],
        [
          ["r0", "r1", "r2"],
          ["a", "b"]
        ]
      )
      const said = asked.slice(3).map(({ body }) => JSON.parse(body).messages[0].content)
      assert.deepStrictEqual(said.toSorted(), ["Sort: ", 'Sort: one, "two"\nthree'])
      const { code, message } = yield* batch([
        "rows.csv",
        "--out=o.jsonl",
        `--base-url=${url}`,
        "--model=m",
        "--prompt={{no}}"
      ])
      assert.deepStrictEqual([code, message.replace(/^.*: /u, "")], [2, 'it has no column "no"; it has id, text'])
    })
  )
})

describe("holdfast batch, with answers of others", () => {
  const good = completion("hello")
  const deep = "[".repeat(100_000) + "]".repeat(100_000)
  const odd: ReadonlyArray<string> = [
    good.replace('"hello"', '{"answer":1}'),
    good.replace('"id":"c"', '"id":123').replace('"created":1', '"created":"1700000000"'),
    good.replace('"role":"assistant"', '"role":"model"'),
    good.replace(
      '"content":"hello"',
      '"content":null,"tool_calls":[{"id":"c1","type":"custom","custom":{"name":"f","input":"x"}}]'
    ),
    good.replace(
      '"content":"hello"',
      '"content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f"}}]'
    ),
    '{"id":"c","object":"chat.completion","choices":[],"usage":null}',
    `${good.slice(0, -1)},"__proto__":{"a":1},"score":1e400,"trace_id":12345678901234567890,"2":1,"1":1.0}`,
    `${good.slice(0, -1)},"deep":${deep}}`,
    '{"object":"list","data":[{"embedding":[0.1]}],"model":"m","usage":{"prompt_tokens":1}}'
  ]

  it.live("keeps every answer that was paid for, byte for byte, and knows it again", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* serving((_, n) => ({ body: odd[n - 1] ?? good }))
      const { batch, lines, write } = yield* folder
      write("in.jsonl", requests(odd.length))
      const { code } = yield* batch(quiet(url, "--concurrency=1"))
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(
        lines("out.jsonl").map((line) => line.slice(line.indexOf('"body":') + 7, -'},"error":null}'.length)),
        odd
      )
      const again = yield* batch(quiet(url))
      assert.deepStrictEqual([again.code, asked.length], [0, odd.length])
      assert.match(again.said, new RegExp(`^skipped +${odd.length}, `, "mu"))
    })
  )

  it.live("sends a body byte for byte, and to the endpoint that its line names", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* serving(answered)
      const { batch, write } = yield* folder
      const body = '{ "seed": 9007199254740993, "2":1, "1": 1.0, "model":"m", "stream": false, "input":"h\\u0069" }'
      write(
        "in.jsonl",
        `{"custom_id":"a","url":"/v1/responses","body":${body}}\n{"custom_id":"b","params":{"model":"m"}}\n`
      )
      const args = quiet(
        `${url}/deployments/d?api-version=2024-10-21`,
        "--concurrency=1",
        "--api-key-env=KEY",
        "--header=X-Team: kelp"
      )
      yield* batch(args, { KEY: "sk-some" })
      assert.deepStrictEqual(
        asked.map((one) => [
          one.url,
          one.body,
          one.headers.authorization,
          one.headers["x-api-key"],
          one.headers["x-team"]
        ]),
        [
          ["/v1/deployments/d/responses?api-version=2024-10-21", body, "Bearer sk-some", undefined, "kelp"],
          ["/v1/deployments/d/messages?api-version=2024-10-21", '{"model":"m"}', "Bearer sk-some", "sk-some", "kelp"]
        ]
      )
    })
  )

  it.live("unpacks what comes packed", () =>
    Effect.gen(function* () {
      const { url } = yield* serving(() => ({ headers: { "content-encoding": "gzip" }, body: gzipSync(good) }))
      const { batch, lines, write } = yield* folder
      write("in.jsonl", requests(1))
      assert.strictEqual((yield* batch(quiet(url))).code, 0)
      assert.include(lines("out.jsonl")[0], good)
    })
  )

  it.live("knows an answer of its own again that is longer than any line it would read", () =>
    Effect.gen(function* () {
      const body = completion("x".repeat(70_000_000))
      const { asked, url } = yield* serving(() => ({ body }))
      const { batch, write } = yield* folder
      write("in.jsonl", requests(1))
      assert.deepStrictEqual([(yield* batch(quiet(url))).code, (yield* batch(quiet(url))).code], [0, 0])
      assert.strictEqual(asked.length, 1)
    })
  )

  it.live("writes failures as the Batch API does", () =>
    Effect.gen(function* () {
      const { url } = yield* serving(failing(400, "unknown_parameter", "Unknown parameter: 'foo'."))
      const { batch, lines, write } = yield* folder
      write("in.jsonl", `${requests(1)}{"custom_id": 7, "body": {}}\nno JSON\n`)
      assert.strictEqual((yield* batch(quiet(url))).code, 1)
      const [bad, none, refused] = lines("out.errors.jsonl").map((line) => JSON.parse(line))
      assert.deepInclude(refused, { custom_id: "r0", error: null })
      assert.deepInclude(refused.response, { status_code: 400 })
      assert.strictEqual(refused.response.body.error.code, "unknown_parameter")
      assert.deepStrictEqual(
        [bad.custom_id, bad.response, bad.error.code, none.custom_id],
        ["7", null, "InvalidLine", null]
      )
      assert.strictEqual(new Set([bad.id, none.id, refused.id]).size, 3)
    })
  )

  it.live("asks once more for an answer that does not fit its schema, and keeps what it paid for", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* serving(({ body }, n) => ({
        body: completion(body.includes("say 0") && n > 1 ? '{"a":1}' : '{"a":"x"}')
      }))
      const { batch, lines, write } = yield* folder
      const schema = {
        type: "object",
        properties: { a: { type: "integer" } },
        required: ["a"],
        additionalProperties: false
      }
      const format = { type: "json_schema", json_schema: { name: "q", strict: true, schema } }
      write(
        "in.jsonl",
        [0, 1]
          .map((n) => `${JSON.stringify({ id: `p${n}`, prompt: `say ${n}`, model: "m", response_format: format })}\n`)
          .join("")
      )
      const { code } = yield* batch(quiet(url, "--check-schema", "--concurrency=1"))
      assert.deepStrictEqual([code, asked.length, ids(lines("out.jsonl"))], [1, 4, ["p0"]])
      const [line] = lines("out.errors.jsonl").map((text) => JSON.parse(text))
      assert.match(line.error.message, /does not fit its schema: a is not of type integer/)
      assert.strictEqual(line.holdfast.answer.choices[0].message.content, '{"a":"x"}')
    })
  )
})

describe("holdfast batch, with servers of others", () => {
  const cases: ReadonlyArray<readonly [what: string, answer: Answer, says: RegExp]> = [
    ["the quota is gone", failing(429, "insufficient_quota", "You exceeded your current quota"), /quota is exhausted/],
    ["the key is refused", failing(401, "invalid_api_key", "Incorrect API key"), /--api-key-env/],
    ["the model is not there", failing(404, "model_not_found", "The model `m` does not exist"), /has no such model/],
    ["it asks to wait for long", () => ({ status: 429, headers: { "retry-after": "7200" } }), /asks to wait longer/],
    ["it gives empty answers", () => ({ body: "" }), /gives no usable answer: the answer is empty/],
    ["it sends elsewhere", () => ({ status: 307, headers: { location: "http://127.0.0.1:1/" } }), /not followed/]
  ]
  it.live.each(cases)("ends with one message, and leaves the rest for the same command, when %s", ([, answer, says]) =>
    Effect.gen(function* () {
      for (const before of says.source.includes("usable") || says.source.includes("followed") ? [0] : [0, 3]) {
        const { asked, url } = yield* serving((one, n) => (n <= before || n > 20 ? {} : answer(one, n)))
        const { batch, lines, write } = yield* folder
        write("in.jsonl", requests(100))
        const { code, message } = yield* batch(
          quiet(url, "--concurrency=2", "--patience=1h").slice(
            0,
            before === 0 && says.source.includes("asks") ? undefined : -1
          )
        )
        assert.strictEqual(code, 2)
        assert.match(message, says)
        assert.isAtMost(asked.length, before + 8)
        assert.deepStrictEqual([lines("out.jsonl").length, lines("out.errors.jsonl").length], [before, 0])
      }
    })
  )

  it.live("answers every line at the pace of a server that tells no limit", () =>
    Effect.gen(function* () {
      let level = 10
      let last = performance.now()
      const { asked, url } = yield* serving(() => {
        const now = performance.now()
        level = Math.min(10, level + (now - last) / 20)
        last = now
        if (level < 1)
          return failing(429, "rate_limit_exceeded", "Rate limit reached")({ url: "", headers: {}, body: "" }, 0)
        level -= 1
        return {}
      })
      const { batch, lines, write } = yield* folder
      write("in.jsonl", requests(150))
      const { code } = yield* batch(quiet(url))
      assert.deepStrictEqual(
        [code, new Set(ids(lines("out.jsonl"))).size, lines("out.errors.jsonl").length],
        [0, 150, 0]
      )
      assert.isAtMost(asked.length, 200)
    })
  )

  it.live("does not take a broken first answer for what all will be, and ends where all are", () =>
    Effect.gen(function* () {
      const broken = [{ body: "" }, { body: "<html></html>", headers: { "content-type": "text/html" } }]
      for (const told of broken) {
        const once = yield* serving((_, n) => (n === 1 ? told : {}))
        const always = yield* serving(() => told)
        const { batch, lines, write } = yield* folder
        write("in.jsonl", requests(12))
        const { code, message } = yield* batch(quiet(always.url))
        assert.deepStrictEqual([code, /gives no usable answer/u.test(message)], [2, true])
        assert.isAtMost(always.asked.length, 12)
        assert.deepStrictEqual([(yield* batch(quiet(once.url))).code, lines("out.jsonl").length], [0, 12])
      }
    })
  )

  it.live("sends a key only where it was meant for", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* serving(answered)
      const { batch, write } = yield* folder
      const keyFor = (args: ReadonlyArray<string>, env: { readonly [name: string]: string }) =>
        Effect.gen(function* () {
          write("in.jsonl", requests(1, asked.length))
          const { code } = yield* batch(["in.jsonl", "--out=out.jsonl", "--quiet", ...args], env)
          return [code, asked.at(-1)?.headers.authorization]
        })
      const env = { OPENAI_API_KEY: "sk-open", OTHER: "sk-other" }
      assert.deepStrictEqual(yield* keyFor([`--base-url=${url}`], env), [0, undefined])
      assert.deepStrictEqual(yield* keyFor([`--base-url=${url}`, "--api-key-env=OTHER"], env), [0, "Bearer sk-other"])
      assert.deepStrictEqual(yield* keyFor([], { ...env, OPENAI_BASE_URL: url }), [0, "Bearer sk-open"])
      assert.deepStrictEqual(yield* keyFor([`--base-url=${url}`, "--api-key-env=BAD"], { BAD: "sk-abc…" }), [
        2,
        "Bearer sk-open"
      ])
    })
  )

  it.live("uses several keys, and goes on without one that is refused", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* serving((one, n) =>
        one.headers.authorization === "Bearer sk-b" ? failing(401, "invalid_api_key", "Incorrect API key")(one, n) : {}
      )
      const { batch, lines, write } = yield* folder
      write("in.jsonl", requests(30))
      const { code } = yield* batch(quiet(url, "--api-key-env=A,B", "--concurrency=2"), { A: "sk-a", B: "sk-b" })
      assert.deepStrictEqual([code, lines("out.jsonl").length], [0, 30])
      assert.isAtMost(asked.filter(({ headers }) => headers.authorization === "Bearer sk-b").length, 4)
    })
  )

  it.live("sends each key where Anthropic's endpoint wants it, and there only", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* serving(answered)
      const { batch, write } = yield* folder
      const params = { model: "m", max_tokens: 5, messages: [{ role: "user", content: "hi" }] }
      const lines = Array.from({ length: 6 }, (_, n) => `${JSON.stringify({ custom_id: `a${n}`, params })}\n`)
      write("in.jsonl", `${lines.join("")}${requests(2)}`)
      assert.strictEqual((yield* batch(quiet(url, "--api-key-env=A,B"), { A: "sk-a", B: "sk-b" })).code, 0)
      const sent = asked.map(({ headers, url: path }) =>
        path === "/v1/messages" ? headers.authorization === `Bearer ${headers["x-api-key"]}` : !headers["x-api-key"]
      )
      assert.deepStrictEqual(
        sent,
        Array.from({ length: 8 }, () => true)
      )
    })
  )

  it.live("tells what a run would cost and did cost, and ends at its cap", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* serving(answered)
      const { batch, lines, write } = yield* folder
      write("in.jsonl", requests(100))
      write("prices.json", '{"m":{"input":1000000,"output":2000000}}')
      const dry = yield* batch(quiet(url, "--prices=prices.json", "--dry-run"))
      assert.match(dry.said, /^to send {5}100 requests$/mu)
      assert.match(dry.said, /cost {6}about \d+/u)
      assert.strictEqual(asked.length, 0)
      const capped = yield* batch(quiet(url, "--prices=prices.json", "--max-cost=30", "--concurrency=1"))
      assert.deepStrictEqual([capped.code, lines("out.jsonl").length], [2, 10])
      assert.match(capped.message, /^the run has cost 30\.00 of the 30\.00 that it may: /)
      const { code, said } = yield* batch(quiet(url, "--prices=prices.json", "--sample=9"))
      assert.deepStrictEqual([code, lines("out.jsonl").length], [0, 19])
      assert.match(said, /^cost {8}27\.00$/mu)
    })
  )

  it.live("sends only what failed when it is asked to", () =>
    Effect.gen(function* () {
      let isWell = false
      const { asked, url } = yield* serving((one, n) =>
        one.body.includes("say 1") && !isWell ? failing(400, "unknown_parameter", "no")(one, n) : {}
      )
      const { batch, lines, write } = yield* folder
      write("in.jsonl", requests(3))
      yield* batch(quiet(url))
      isWell = true
      write("in.jsonl", requests(9))
      const { code } = yield* batch(quiet(url, "--failed-only"))
      assert.deepStrictEqual([code, asked.length, ids(lines("out.jsonl"))], [0, 4, ["r0", "r1", "r2"]])
    })
  )

  it.live("draws in place only where that can be done", () =>
    Effect.gen(function* () {
      const { url } = yield* serving(() => ({ delay: 300 }))
      const { batch, write } = yield* folder
      write("in.jsonl", requests(1))
      const drawn = (name: string, env: { readonly [name: string]: string }) =>
        Effect.map(batch(["in.jsonl", `--out=${name}.jsonl`, `--base-url=${url}`], env), ({ said }) =>
          said.includes("\u001B")
        )
      const terminals = [
        yield* drawn("a", { TERM: "xterm" }),
        yield* drawn("b", { TERM: "dumb" }),
        yield* drawn("c", {})
      ]
      assert.deepStrictEqual(terminals, [true, false, false])
    })
  )

  it.live("shows nothing of others on the terminal that would move it", () =>
    Effect.gen(function* () {
      const escapes = "\u001b[2J\u001b]0;owned\u0007\u009b31m\u202e\r"
      const { url } = yield* serving(failing(400, "invalid_value", `nope ${escapes}`))
      const { batch, write } = yield* folder
      write("in.jsonl", `${JSON.stringify({ id: `x${escapes}\nanswered 99`, prompt: "hi", model: "m" })}\n`)
      for (const style of ["--quiet", "--json"]) {
        const { said } = yield* batch(["in.jsonl", `--out=o${style}.jsonl`, `--base-url=${url}`, style])
        assert.notMatch(said, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/u)
        assert.notMatch(said, /^answered 99/mu)
      }
      const gone = yield* serving(failing(401, "invalid_api_key", `bad ${escapes}`))
      const { message } = yield* batch(quiet(gone.url))
      assert.include(message, "bad ")
    })
  )
})
