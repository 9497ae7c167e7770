import { assert, describe, it } from "@effect/vitest"
import { RateLimit } from "holdfast/policy"

const minute = 60_000
const day = 86_400_000

/** What is told in short: dimension, limit, remaining, milliseconds to the reset, window. */
const read = (headers: Record<string, unknown>, now = 0) =>
  RateLimit.fromHeaders(headers, now).map(({ dimension, limit, remaining, resetMillis, windowMillis }) => [
    dimension,
    limit,
    remaining,
    resetMillis,
    windowMillis
  ])

const openai = (dimension: string, limit: string, remaining: string, reset?: string) => ({
  [`x-ratelimit-limit-${dimension}`]: limit,
  [`x-ratelimit-remaining-${dimension}`]: remaining,
  ...(reset === undefined ? {} : { [`x-ratelimit-reset-${dimension}`]: reset })
})

const anthropic = (dimension: string, limit: string, remaining: string, reset: string) => ({
  [`anthropic-ratelimit-${dimension}-limit`]: limit,
  [`anthropic-ratelimit-${dimension}-remaining`]: remaining,
  [`anthropic-ratelimit-${dimension}-reset`]: reset
})

describe("RateLimit.fromHeaders", () => {
  it.each([
    [
      "OpenAI's documented sample: six minutes to full",
      openai("tokens", "150000", "149984", "6m0s"),
      [["tokens", 150_000, 149_984, 360_000, minute]]
    ],
    ["OpenAI, milliseconds", openai("requests", "5000", "4999", "12ms"), [["requests", 5_000, 4_999, 12, minute]]],
    ["OpenAI, a second", openai("requests", "60", "59", "1s"), [["requests", 60, 59, 1_000, minute]]],
    [
      "OpenAI, both together",
      { ...openai("requests", "500", "499", "120ms"), ...openai("tokens", "200000", "199000", "300ms") },
      [
        ["requests", 500, 499, 120, minute],
        ["tokens", 200_000, 199_000, 300, minute]
      ]
    ],
    [
      "Groq: requests are per day",
      openai("requests", "14400", "14370", "2m59.56s"),
      [["requests", 14_400, 14_370, 179_560, day]]
    ],
    [
      "Groq: the first request of the day",
      openai("requests", "1000", "999", "1m26.4s"),
      [["requests", 1_000, 999, 86_400, day]]
    ],
    [
      "Groq: tokens are per minute, also where the sample fits nothing",
      openai("tokens", "18000", "17997", "7.66s"),
      [["tokens", 18_000, 17_997, 7_660, minute]]
    ],
    ["Azure: whole seconds", openai("requests", "100", "90", "20"), [["requests", 100, 90, 20_000, minute]]],
    ["Azure: -1 and 0 say nothing", openai("tokens", "-1", "-1", "0"), []],
    [
      "Azure: a limit, and -1 for what remains",
      openai("tokens", "120000", "-1", "0"),
      [["tokens", 120_000, undefined, undefined, minute]]
    ],
    ["nothing remaining is not said", openai("requests", "20", "0", "1s"), [["requests", 20, undefined, 1_000, 1_000]]],
    ["a limit per second", openai("requests", "20", "12", "400ms"), [["requests", 20, 12, 400, 1_000]]],
    [
      "general, seconds to the reset",
      { "ratelimit-limit": "100", "ratelimit-remaining": "50", "ratelimit-reset": "30" },
      [["requests", 100, 50, 30_000, minute]]
    ],
    [
      "general, with a policy",
      { "ratelimit-limit": "100, 100;w=10", "ratelimit-policy": "100;w=10" },
      [["requests", 100, undefined, undefined, 10_000]]
    ],
    [
      "general, a window of an hour",
      { "x-ratelimit-limit": "5000", "x-ratelimit-remaining": "1", "x-ratelimit-reset": "1800" },
      [["requests", 5_000, 1, 1_800_000, 3_600_000]]
    ],
    ["no rate limit", { "content-type": "application/json" }, []],
    ["more than any number", openai("requests", "9".repeat(400), "9".repeat(400), `${"9".repeat(400)}s`), []],
    ["nonsense", { ...openai("requests", "many", "NaN", "soon"), "x-ratelimit-limit-tokens": 7 }, []]
  ])("%s", (_, headers, expected) => {
    assert.deepStrictEqual(read(headers), expected)
  })

  it("reads Anthropic's dates against the response's own", () => {
    const headers = {
      date: "Tue, 26 Mar 2024 19:59:59 GMT",
      ...anthropic("requests", "5", "0", "2024-03-26T20:00:00Z"),
      ...anthropic("input-tokens", "25000", "16000", "2024-03-26T20:00:21Z"),
      ...anthropic("output-tokens", "80000", "80000", "2024-03-26T19:59:59Z")
    }
    assert.deepStrictEqual(read(headers, 1e12), [
      ["requests", 5, undefined, 1_000, minute],
      ["inputTokens", 25_000, 16_000, 22_000, minute],
      ["outputTokens", 80_000, 80_000, undefined, minute]
    ])
  })

  // https://github.com/bespokelabsai/curator/issues/535
  it("takes a date that is over for not said, as Anthropic has sent it", () => {
    const headers = {
      date: "Mon, 24 Feb 2025 20:38:03 GMT",
      ...anthropic("requests", "4000", "3999", "2025-02-24T20:37:51Z")
    }
    assert.deepStrictEqual(read(headers), [["requests", 4_000, 3_999, undefined, minute]])
  })

  it("reads seconds and milliseconds since 1970", () => {
    const at = (reset: string) =>
      read({ "x-ratelimit-limit": "60", "x-ratelimit-reset": reset }, 1_700_000_000_000)[0]?.[3]
    assert.deepStrictEqual([at("1700000012"), at("1700000012500")], [12_000, 12_500])
  })
})
