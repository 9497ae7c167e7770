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
