import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Option, Schema } from "effect"
import { RetryAfter } from "holdfast/provider"

const millis = (found: Option.Option<Duration.Duration>) => Option.getOrUndefined(Option.map(found, Duration.toMillis))

const sent = "Tue, 26 Mar 2024 19:59:59 GMT"
const sentMillis = 1_711_483_199_000

describe("RetryAfter.fromHeaders", () => {
  const table: ReadonlyArray<readonly [what: string, headers: Record<string, string>, millis: number | undefined]> = [
    ["whole seconds", { "retry-after": "20" }, 20_000],
    ["parts of a second", { "retry-after": "1.5" }, 1_500],
    ["parts of a millisecond, rounded up", { "retry-after-ms": "0.4" }, 1],
    ["surrounding space", { "retry-after": " 3 " }, 3_000],
    ["milliseconds before seconds", { "retry-after": "20", "retry-after-ms": "1500" }, 1_500],
    ["Azure's milliseconds before seconds", { "retry-after": "20", "x-ms-retry-after-ms": "900" }, 900],
    ["milliseconds before Azure's", { "x-ms-retry-after-ms": "900", "retry-after-ms": "1500" }, 1_500],
    ["seconds where the milliseconds are unreadable", { "retry-after": "20", "retry-after-ms": "soon" }, 20_000],
    ["seconds where the milliseconds are zero", { "retry-after": "20", "retry-after-ms": "0" }, 20_000],
    ["a date from the response's own date", { "retry-after": "Tue, 26 Mar 2024 20:00:09 GMT", date: sent }, 10_000],
    ["weeks", { "retry-after": "2592000" }, 2_592_000_000],
    ["nothing", {}, undefined],
    ["zero", { "retry-after": "0" }, undefined],
    ["minus one", { "retry-after": "-1" }, undefined],
    ["an empty value", { "retry-after": "" }, undefined],
    ["words", { "retry-after": "soon" }, undefined],
    ["a number with a unit", { "retry-after": "20s" }, undefined],
    ["an exponent", { "retry-after": "1e3" }, undefined],
    ["hexadecimal", { "retry-after": "0x10" }, undefined],
    ["infinity", { "retry-after": "Infinity" }, undefined],
    ["more digits than a number holds", { "retry-after": "9".repeat(400) }, undefined],
    ["the same twice", { "retry-after": "7, 7" }, 7_000],
    ["the longest of several", { "retry-after": "7, 30,2" }, 30_000],
    ["the longest of several in milliseconds", { "retry-after-ms": "900, 1500", "retry-after": "20" }, 1_500],
    ["the one of several that can be read", { "retry-after": "soon, 7" }, 7_000],
    [
      "the later of two dates, from the response's own, twice",
      { "retry-after": "Tue, 26 Mar 2024 20:00:09 GMT, Tue, 26 Mar 2024 20:00:19 GMT", date: `${sent}, ${sent}` },
      20_000
    ],
    ["a date that is over", { "retry-after": "Tue, 26 Mar 2024 19:59:00 GMT", date: sent }, undefined],
    ["a date of no calendar", { "retry-after": "Tue, 99 Mar 2024 20:00:09 GMT", date: sent }, undefined],
    ["a date in another form", { "retry-after": "2024-03-26T20:00:09Z", date: sent }, undefined],
    ["a date with nothing to count from", { "retry-after": "Tue, 26 Mar 2024 20:00:09 GMT" }, undefined],
    ["the reset of a rate limit, which is not a wait", { "x-ratelimit-reset-requests": "6m0s" }, undefined]
  ]
  for (const [what, headers, expected] of table) {
    it(`${what}: ${expected === undefined ? "not said" : `${expected} ms`}`, () => {
      assert.strictEqual(millis(RetryAfter.fromHeaders(headers)), expected)
    })
  }

  it("counts a date from now where the response has no date of its own", () => {
    const headers = { "retry-after": "Tue, 26 Mar 2024 20:00:09 GMT" }
    assert.strictEqual(millis(RetryAfter.fromHeaders(headers, sentMillis + 1_000)), 9_000)
  })

  it("prefers the response's date to a local clock that is wrong", () => {
    const headers = { "retry-after": "Tue, 26 Mar 2024 20:00:09 GMT", date: sent }
    assert.strictEqual(millis(RetryAfter.fromHeaders(headers, sentMillis + 3_600_000)), 10_000)
  })

  const Wait = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000_000 }))

  it.prop("reads back every wait that can be written, in each of the four ways", [Wait], ([seconds]) => {
    const at = DateTime.toDateUtc(DateTime.makeUnsafe(sentMillis + seconds * 1_000)).toUTCString()
    const written: ReadonlyArray<Record<string, string>> = [
      { "retry-after": `${seconds}` },
      { "retry-after-ms": `${seconds * 1_000}` },
      { "x-ms-retry-after-ms": `${seconds * 1_000}` },
      { "retry-after": at, date: sent }
    ]
    for (const headers of written) assert.strictEqual(millis(RetryAfter.fromHeaders(headers)), seconds * 1_000)
  })

  it.prop(
    "never asks for no wait or a backward one, whatever is sent",
    [Schema.String, Schema.Finite],
    ([text, number]) => {
      for (const value of [text, `${number}`, `${-number}`]) {
        for (const name of ["retry-after", "retry-after-ms", "x-ms-retry-after-ms"]) {
          const wait = millis(RetryAfter.fromHeaders({ [name]: value, date: sent }, sentMillis))
          assert.isTrue(wait === undefined || (Number.isInteger(wait) && wait > 0), `${name}: ${value} gave ${wait}`)
        }
      }
    }
  )
})

describe("RetryAfter.fromText", () => {
  const table: ReadonlyArray<readonly [text: string, millis: number | undefined]> = [
    ["Please try again in 579ms. Visit https://platform.openai.com/account/rate-limits", 579],
    ["Please try again in 6.780999999s. Visit", 6_781],
    ["Please try again in 1m9.696s. Visit", 69_696],
    ["Please try again in 114h18m0s. Visit", 411_480_000],
    ["Please retry in 45.578569677s.", 45_579],
    ["Please retry after 20 seconds. For improved latency", 20_000],
    ["Rate limit is exceeded. Try again in 2 seconds.", 2_000],
    ["try again in 5 minutes", 300_000],
    ["39s", 39_000],
    ["0s", undefined],
    ["Please try again in a moment", undefined],
    ["Please try again later.", undefined],
    ["Limit 30000, Used 14567, Requested 24754", undefined],
    ["It took 20 seconds", undefined],
    ["", undefined]
  ]
  for (const [text, expected] of table) {
    it(`${JSON.stringify(text.slice(0, 50))}: ${expected === undefined ? "not said" : `${expected} ms`}`, () => {
      assert.strictEqual(millis(RetryAfter.fromText(text)), expected)
    })
  }

  it("takes no longer than a blink over a text made to be slow", () => {
    const text = `try again in ${"1m".repeat(50_000)}!`
    const before = process.cpuUsage()
    RetryAfter.fromText(text)
    RetryAfter.fromText(" ".repeat(100_000) + "try again in 1".repeat(10_000))
    assert.isBelow(process.cpuUsage(before).user, 500_000)
  })
})

it("takes a number that would be decades for a time since 1970", () => {
  const wait = (headers: Record<string, string>) => millis(RetryAfter.fromHeaders(headers))
  assert.strictEqual(wait({ date: sent, "retry-after": String(sentMillis / 1_000 + 2) }), 2_000)
  assert.strictEqual(wait({ date: sent, "retry-after-ms": String(sentMillis + 1_500) }), 1_500)
  assert.isUndefined(wait({ "retry-after": String(sentMillis / 1_000 + 2) }))
})
