import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as InProcess from "./inProcess.ts"

const quiet = (url: string, ...more: ReadonlyArray<string>) => [
  "in.jsonl",
  "--out=out.jsonl",
  `--base-url=${url}`,
  "--quiet",
  ...more
]

describe("what a run is told to cost", () => {
  it.live("ends a run whose model has no price, where it may cost so much only", () =>
    Effect.gen(function* () {
      const { asked, url } = yield* InProcess.serving(InProcess.answered)
      const { batch, write } = yield* InProcess.folder
      write("in.jsonl", InProcess.requests(20))
      write("prices.json", '{"another":{"input":1,"output":2}}')
      const args = quiet(url, "--prices=prices.json", "--max-cost=1", "--concurrency=1")
      const { code, message } = yield* batch(args)
      assert.strictEqual(code, 2)
      assert.match(message, /the prices do not have the model m, so the run cannot be kept below --max-cost/)
      assert.isBelow(asked.length, 3)
    })
  )

  it.live("says that a price is not known, and what is known of the others", () =>
    Effect.gen(function* () {
      const { url } = yield* InProcess.serving(InProcess.answered)
      const { batch, write } = yield* InProcess.folder
      write("in.jsonl", InProcess.requests(1))
      write("prices.json", '{"priced":{"input":0,"output":1000000}}')
      const run = batch(quiet(url, "--prices=prices.json"))
      assert.match((yield* run).said, /^cost {8}not known: the prices do not have m$/mu)
      write("in.jsonl", `${InProcess.requests(1, 1)}${InProcess.requests(1, 2).replace('"m"', '"priced"')}`)
      assert.match((yield* run).said, /^cost {8}at least [1-9][\d.]*: the prices do not have m$/mu)
      write("in.jsonl", InProcess.requests(1, 3))
      const { said } = yield* batch([
        ...quiet(url, "--prices=prices.json").slice(0, 3),
        "--prices=prices.json",
        "--json"
      ])
      const summary = JSON.parse(said.trimEnd().split("\n").at(-1) ?? "")
      assert.deepStrictEqual([summary.unpriced, Object.hasOwn(summary, "cost")], ["m", false])
    })
  )

  it.live("refuses no request for what its answer is guessed to take of the tokens in a minute", () =>
    Effect.gen(function* () {
      const { url } = yield* InProcess.serving(InProcess.answered)
      const { batch, write } = yield* InProcess.folder
      write("in.jsonl", InProcess.requests(2))
      const { code, said } = yield* batch(quiet(url, "--tokens-per-minute=200"))
      assert.deepStrictEqual([code, said.includes("LargerThanLimit")], [0, false])
    })
  )

  it.live("says once what a run at its cap has cost, with what was in flight then", () =>
    Effect.gen(function* () {
      const { url } = yield* InProcess.serving(() => ({ delay: 50 }))
      const { batch, write } = yield* InProcess.folder
      write("in.jsonl", InProcess.requests(60))
      write("prices.json", '{"m":{"input":0,"output":10000}}')
      const { code, message, said } = yield* batch(
        quiet(url, "--prices=prices.json", "--max-cost=0.3", "--concurrency=4")
      )
      assert.strictEqual(code, 2)
      const [, cost] = /^the run has cost ([\d.]+) of the 0\.3000 that it may/u.exec(message) ?? []
      assert.include(said, `\ncost        ${cost}\n`)
    })
  )

  it.live("tells of the same requests that a run would send: failed ones, and a sample of all", () =>
    Effect.gen(function* () {
      const { url } = yield* InProcess.serving(({ body }) =>
        body.includes('"say 3"') ? { status: 400, body: "{}" } : {}
      )
      const { batch, write } = yield* InProcess.folder
      write("in.jsonl", InProcess.requests(5))
      assert.strictEqual((yield* batch(quiet(url))).code, 1)
      write("in.jsonl", InProcess.requests(10))
      assert.match((yield* batch(quiet(url, "--dry-run", "--failed-only"))).said, /^to send {5}1 request$/mu)
      assert.match((yield* batch(quiet(url, "--dry-run"))).said, /^to send {5}6 requests$/mu)
      const odd = InProcess.requests(5).replaceAll('"m"', '"odd"').split("\n")
      const even = InProcess.requests(5, 5).split("\n")
      write(
        "in.jsonl",
        odd
          .slice(0, 5)
          .flatMap((line, n) => [line, even[n]])
          .join("\n")
      )
      const { said } = yield* batch(["in.jsonl", "--out=other.jsonl", `--base-url=${url}`, "--dry-run", "--sample=5"])
      assert.match(said, /^to send {5}5 requests$/mu)
      assert.match(said, /model {7}odd/u)
      assert.notMatch(said, /model {7}m$/mu)
    })
  )
})
