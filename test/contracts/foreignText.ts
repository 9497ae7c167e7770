/**
 * Every reader of what others wrote, with random input for it: each gives what it is to give or says no as it is to, and never
 * throws anything else.
 */
import { Duration, Effect, Option, Result, Stream } from "effect"
import type { AiError } from "effect/ai"
import { RateLimit } from "holdfast/policy"
import { AiSdkError, RetryAfter } from "holdfast/provider"
import * as BatchRequest from "../../src/cli/batch/input/BatchRequest.ts"
import * as Lines from "../../src/cli/batch/input/Lines.ts"
import * as ResultLine from "../../src/cli/batch/output/ResultLine.ts"
import * as LimitHeaders from "../../src/core/call/LimitHeaders.ts"
import * as CacheEntry from "../../src/policy/response-cache/Entry.ts"
import * as ErrorReason from "../../src/provider/errors/ErrorReason.ts"
import type { Chance } from "../../src/testing/seed/Chance.ts"
import { input, json, outcome } from "../provider/chat-wire/fuzzing.ts"

/** What came of an input: something was read, or it was refused. Anything else is what is wrong. */
export type Came = "read" | "refused" | (string & {})

export interface Reader {
  readonly name: string
  readonly tryOne: (chance: Chance) => Came | Promise<Came>
}

const signs = [
  "",
  "0",
  "-1",
  "1e308",
  "60",
  "1ms",
  "6m0s",
  "Infinity",
  "NaN",
  "100;w=60",
  "2999-01-01T00:00:00Z",
  "é",
  "\ud800",
  "{",
  '"'
]
export const from = (chance: Chance, list: ReadonlyArray<string>): string => list[chance.below(list.length)] ?? ""
const words = (chance: Chance): string =>
  Array.from({ length: chance.below(4) }, () =>
    from(chance, [...signs, String(chance.below(1e9)), "x".repeat(chance.below(99))])
  ).join(chance.oneOf(["", " ", ",", ";"]))
const headerNames = [...LimitHeaders.names, "x-should-retry", "x-request-id", "x-amzn-errortype", "content-type"]
export const headers = (chance: Chance): Record<string, string> =>
  Object.fromEntries(Array.from({ length: chance.below(9) }, () => [from(chance, headerNames), words(chance)]))
const text = (chance: Chance): string => {
  const written = JSON.stringify(json(chance))
  return chance.oneOf([
    written,
    written.slice(0, chance.below(written.length + 1)),
    words(chance),
    `data: ${written}\n\n`,
    `: ping\n${written}`
  ])
}
const nested = (chance: Chance, value: unknown): unknown =>
  chance.below(20) === 0 ? Array.from({ length: 20_000 }).reduce((inner: unknown) => [inner], value) : value

const isReason = (reason: AiError.AiErrorReason): Came => {
  if (!reason._tag.endsWith("Error") || typeof reason.message !== "string") return `no reason: ${String(reason)}`
  return reason.message.length > 5_000 ? `a message of ${reason.message.length} characters` : "read"
}

const positive = (told: ReturnType<typeof RateLimit.fromHeaders>[number]): boolean =>
  [told.limit, told.remaining, told.resetMillis, told.windowMillis].every(
    (each) => each === undefined || (each >= 0 && each < Infinity)
  )

const batchLine = (chance: Chance): string => {
  const fields = {
    custom_id: json(chance),
    method: "POST",
    url: "/v1/chat/completions",
    body: json(chance),
    prompt: json(chance)
  }
  const kept = Object.entries(fields).filter(() => chance.below(3) > 0)
  return JSON.stringify({ ...Object.fromEntries(kept), ...(chance.below(3) === 0 ? { custom_id: words(chance) } : {}) })
}

const finish = (chance: Chance) => ({
  type: "finish",
  reason: "stop",
  usage: chance.oneOf([{ inputTokens: {}, outputTokens: {} }, json(chance)])
})

export const entry = (chance: Chance): unknown => {
  const part = () => chance.oneOf([json(chance), { type: "text", text: "kelp" }, finish(chance)])
  const parts = Array.from({ length: chance.below(4) }, part)
  const answer = chance.oneOf([
    { _tag: "Whole", parts: [{ type: "text", text: "kelp" }, finish(chance)] },
    json(chance),
    { _tag: "Whole", parts },
    { _tag: "Streamed", chunks: [parts] },
    { _tag: "Streamed", chunks: nested(chance, parts) }
  ])
  return chance.below(9) === 0
    ? json(chance)
    : {
        version: 1,
        storedAtMillis: chance.oneOf<unknown>([0, 1, 2, 3, Number.NaN, "1"]),
        bytes: chance.below(9),
        answer
      }
}

/** Readers that are plain functions. */
export const plain: ReadonlyArray<Reader> = [
  { name: "answers of chat completions", tryOne: (chance) => outcome(input(chance)) },
  {
    name: "limits in headers",
    tryOne: (chance) => {
      const told = RateLimit.fromHeaders(headers(chance), 1_000)
      return told.length === 0 ? "refused" : told.every(positive) ? "read" : `told ${JSON.stringify(told)}`
    }
  },
  {
    name: "waits in headers and texts",
    tryOne: (chance) => {
      const wait = Option.firstSomeOf([
        RetryAfter.fromHeaders(headers(chance)),
        RetryAfter.fromText(`try again in ${words(chance)}`)
      ])
      if (Option.isNone(wait)) return "refused"
      const millis = Duration.toMillis(wait.value)
      return millis >= 0 && !Number.isNaN(millis) ? "read" : `waits ${millis}`
    }
  },
  {
    name: "bodies of refusals",
    tryOne: (chance) =>
      isReason(
        ErrorReason.of({
          statusCode: chance.oneOf([200, 400, 401, 429, 503, 999]),
          responseHeaders: headers(chance),
          responseBody: text(chance)
        })
      )
  },
  {
    name: "what a package throws",
    tryOne: (chance) => {
      const fields = {
        name: chance.oneOf(["AI_APICallError", "AI_TypeValidationError", "X"]),
        responseBody: json(chance),
        data: nested(chance, json(chance)),
        cause: json(chance),
        value: json(chance)
      }
      const error = AiSdkError.toAiError(
        chance.oneOf([Object.assign(new Error(text(chance)), fields), json(chance), fields]),
        { method: "streamText" }
      )
      return isReason(error.reason)
    }
  },
  {
    name: "entries of a cache",
    tryOne: (chance) => {
      const found = CacheEntry.decode(entry(chance), 100_000)
      if (found === undefined) return "refused"
      const how = { ageMillis: 0, tier: "shared", stale: false } as const
      return CacheEntry.partsOf(found, how).length > 0 && CacheEntry.chunksOf(found, how).length > 0
        ? "read"
        : "nothing of an entry"
    }
  },
  {
    name: "lines of a batch",
    tryOne: (chance) => {
      const line = {
        number: 1,
        bytes: Buffer.from(
          chance.oneOf([
            batchLine(chance),
            text(chance),
            JSON.stringify({ prompt: words(chance), custom_id: words(chance) })
          ])
        ),
        end: 9,
        terminated: true
      }
      return Result.isSuccess(BatchRequest.parse(line, { model: "m" })) ? "read" : "refused"
    }
  },
  {
    name: "lines of an output of an earlier run",
    tryOne: (chance) => {
      const whole = JSON.stringify({
        id: "batch_req_1",
        custom_id: chance.below(2) === 0 ? "a" : 1,
        response: { status_code: 200, body: json(chance) },
        error: chance.oneOf([null, {}])
      })
      const line = chance.oneOf([whole, whole.slice(0, chance.below(whole.length)), text(chance)])
      return ResultLine.kindOf(Buffer.from(line)).kind === "answer" ? "read" : "refused"
    }
  },
  {
    name: "files, cut into lines",
    tryOne: (chance) => {
      const pieces = Array.from({ length: chance.below(9) }, () =>
        Buffer.from(Array.from({ length: chance.below(99) }, () => chance.oneOf([10, 13, 65, 0xc3, 0xff])))
      )
      const lines = Effect.runSync(Stream.runCollect(Lines.split(Stream.fromIterable(pieces))))
      const size = pieces.reduce((sum, piece) => sum + piece.length, 0)
      return (lines.at(-1)?.end ?? 0) === size
        ? lines.some(({ problem }) => problem)
          ? "refused"
          : "read"
        : "lost some of its bytes"
    }
  }
]
