import { assert, describe, it } from "@effect/vitest"
import { RateLimit } from "holdfast/policy"
import { RetryAfter } from "holdfast/provider"
import { names } from "../../../src/core/call/LimitHeaders.ts"
import { passed } from "../../../src/provider/http/ResponseHeaderNames.ts"

/** The names that a reader asks for, whatever they say. */
const readBy = (read: (headers: Readonly<Record<string, string>>) => unknown) => {
  const asked = new Set<string>()
  for (const value of ["2", "Sun, 06 Nov 1994 08:49:37 GMT"]) {
    read(new Proxy({}, { get: (_, name) => (asked.add(String(name)), String(name) === "date" ? undefined : value) }))
  }
  // A limit that says a number, until a date.
  const both = (name: string) => (name.includes("reset") ? "Sun, 06 Nov 1994 08:49:37 GMT" : "2")
  read(new Proxy({}, { get: (_, name) => (asked.add(String(name)), both(String(name))) }))
  return asked
}

const isPassed = (name: string) => name in passed({ [name]: "1" }, new Set())

describe("the response headers that are passed on", () => {
  it.each([
    ["limits", RateLimit.fromHeaders, 15],
    ["waits", RetryAfter.fromHeaders, 3]
  ] as const)("hold everything that is read of %s, all of it from the one list", (_what, fromHeaders, least) => {
    const asked = [...readBy((headers) => fromHeaders(headers, 0))]
    assert.isAbove(asked.length, least)
    assert.deepStrictEqual(
      [...asked.filter((name) => !names.has(name)), ...asked.filter((name) => !isPassed(name))],
      []
    )
  })

  it("hold every limit that is named, those of other tiers and windows, and no stranger", () => {
    const limits = [
      ...names,
      "ratelimit",
      "anthropic-ratelimit-unified-reset",
      "anthropic-priority-input-tokens-remaining",
      "x-ratelimit-limit-tokens-minute"
    ]
    assert.deepStrictEqual(
      limits.filter((name) => !isPassed(name)),
      []
    )
    assert.deepStrictEqual(["set-cookie", "authorization", "x-api-key", "x-secret"].filter(isPassed), [])
  })
})
