/** Texts that grow, for the readers that are plain functions: shapes that have cost more than their size somewhere. */
import { inspect } from "node:util"
import { Effect, Stream } from "effect"
import { AiError, Prompt } from "effect/ai"
import { RateLimit } from "holdfast/policy"
import { AiSdkError, RetryAfter } from "holdfast/provider"
import * as BatchRequest from "../../src/cli/batch/input/BatchRequest.ts"
import * as Lines from "../../src/cli/batch/input/Lines.ts"
import * as ResultLine from "../../src/cli/batch/output/ResultLine.ts"
import * as ContinuedStream from "../../src/policy/fallback/ContinuedStream.ts"
import * as CacheEntry from "../../src/policy/response-cache/Entry.ts"
import * as CallError from "../../src/core/call/CallError.ts"
import * as AiSdkPrompt from "../../src/provider/ai-sdk/Prompt.ts"
import * as ErrorReason from "../../src/provider/errors/ErrorReason.ts"
import * as FinishWord from "../../src/provider/errors/FinishWord.ts"
import * as Quotations from "../../src/provider/errors/Quotations.ts"
import { runWithOneHash } from "../provider/errors/oneHash.ts"

export const growing: Readonly<Record<string, (size: number) => () => unknown>> = {
  "a limit of many digits": (size) => () =>
    RateLimit.fromHeaders({ "x-ratelimit-limit-requests": "9".repeat(size) }, 0),
  "a reset of many units": (size) => () =>
    RateLimit.fromHeaders(
      { "x-ratelimit-limit-requests": "1", "x-ratelimit-reset-requests": "1m".repeat(size / 2) },
      0
    ),
  "a policy of many windows": (size) => () =>
    RateLimit.fromHeaders({ "ratelimit-limit": "1", "ratelimit-policy": "1;w=1,".repeat(size / 6) }, 0),
  "a wait among spaces": (size) => () => RetryAfter.fromText(`try again in ${" ".repeat(size)}1 s`),
  "a wait that is said often": (size) => () => RetryAfter.fromText("try again in x ".repeat(size / 15)),
  "digits without a unit": (size) => () => RetryAfter.fromText(`retry after ${"1".repeat(size)}`),
  "a refusal full of quotes": (size) => () => refusal(JSON.stringify({ error: { message: `'"\``.repeat(size / 3) } })),
  "a refusal of many errors": (size) => () =>
    refusal(JSON.stringify({ errors: Array.from({ length: size / 20 }, () => ({ message: "no" })) })),
  "a refusal behind comments": (size) => () => refusal(`${": ping\n\n".repeat(size / 8)}{}`),
  "a refusal in many events": (size) => () => refusal("data: {}\n\n".repeat(size / 10)),
  "a refusal in brackets": (size) => () => refusal("[".repeat(size)),
  "a refusal full of URLs": (size) => () => refusal("http://a?".repeat(size / 9)),
  "a refusal full of colons and slashes": (size) => () => refusal("://".repeat(size / 3)),
  "a refusal full of keys that are none": (size) => () => refusal("sk-".repeat(size / 3)),
  "a message of a package": (size) => () =>
    AiSdkError.toAiError(new Error(`JSON parsing failed: Text: ${'"'.repeat(size)}`), { method: "generateText" }),
  "a message of a package that quotes without an end": (size) => () =>
    AiSdkError.toAiError(new Error("JSON parsing failed: Text: ".repeat(size / 27)), { method: "generateText" }),
  "a message of a package that names types without an end": (size) => () =>
    AiSdkError.toAiError(new Error("Type validation failed".repeat(size / 22)), { method: "generateText" }),
  "a word for the end of an answer, with much space in it": (size) => () =>
    FinishWord.isFailure(`a${" ".repeat(size)}b:`),
  "an error of empty lines, printed": (size) => {
    const reason = new AiError.InternalProviderError({ description: "\n ".repeat(size / 2) })
    const error = CallError.make({ module: "kelp", method: "generateText", reason })
    return () => inspect(error)
  },
  "a text of runs that share a hash with those of another": (size) => {
    const text = runWithOneHash(0).repeat(size / 1_280)
    const other = Array.from({ length: size / 20 }, (_, at) => runWithOneHash(1 + (at % 7))).join("")
    return () => Quotations.without(text, [other])
  },
  "a restart with many blocks of one id": (size) => () => {
    const tracker = new ContinuedStream.Tracker(size)
    const rename = ContinuedStream.renaming(tracker)
    for (let at = 0; at < size / 16; at++) {
      tracker.see(rename({ type: "text-start", id: "0" }))
      tracker.see(rename({ type: "text-end", id: "0" }))
    }
  },
  "an answer that is cut in its quotes": (size) => () =>
    AiSdkError.toAiError(
      Object.assign(new Error("JSON parsing failed: Text: x.\nError message: y"), {
        name: "AI_JSONParseError",
        text: `{"${'\\"'.repeat(size / 2)}`
      }),
      { method: "generateText" }
    ),
  "an entry of many parts": (size) => () =>
    decoded({
      version: 1,
      storedAtMillis: 0,
      bytes: 1,
      answer: { _tag: "Whole", parts: Array.from({ length: size / 8 }, () => ({ type: "finish" })) }
    }),
  "a line of many fields": (size) => () =>
    batch(`{${Array.from({ length: size / 12 }, (_, at) => `"f${at}":1`).join()}}`),
  "a line in brackets": (size) => () => batch("[".repeat(size)),
  "an output line in brackets": (size) => () =>
    ResultLine.kindOf(
      Buffer.from(
        `{"custom_id":"a","response":{"status_code":200,"body":${"[".repeat(size / 2)}${"]".repeat(size / 2)}}}`
      )
    ),
  "a file of short lines": (size) => () =>
    Effect.runSync(Stream.runDrain(Lines.split(Stream.succeed(Buffer.from("x\n".repeat(size / 2)))))),
  "a line in small pieces": (size) => () =>
    Effect.runSync(
      Stream.runDrain(Lines.split(Stream.fromIterable(Array.from({ length: size / 64 }, () => Buffer.alloc(64, 65)))))
    )
}

const decoded = (entry: object) => CacheEntry.decode(entry, 2 ** 24)
const refusal = (responseBody: string) => ErrorReason.of({ statusCode: 400, responseHeaders: {}, responseBody })
const batch = (text: string) =>
  BatchRequest.parse({ number: 1, bytes: Buffer.from(text), end: 9, terminated: true }, { model: "m" })

/** Texts that are long and hard to take apart: a pattern that repeats a group runs out of stack at some millions of characters. */
export const long: Readonly<Record<string, () => unknown>> = {
  "a refusal behind comments": () => refusal(`${":\n".repeat(2 ** 22)}{}`),
  "a message with a key": () =>
    AiSdkError.toAiError(new Error(`sk-${"a".repeat(2 ** 24)}`), { method: "generateText" }),
  "a wait of many parts": () => RetryAfter.fromText(`try again in ${"1s ".repeat(2 ** 22)}`),
  "a reset of many parts": () =>
    RateLimit.fromHeaders({ "ratelimit-limit": "1", "ratelimit-reset": "1s".repeat(2 ** 22) }, 0),
  "a file that escapes all its bytes": () =>
    AiSdkPrompt.toPrompt(
      Prompt.make([
        {
          role: "user",
          content: [
            Prompt.makePart("file", { mediaType: "text/plain", data: `data:text/plain,${"%41".repeat(2 ** 23)}` })
          ]
        }
      ])
    )
}
