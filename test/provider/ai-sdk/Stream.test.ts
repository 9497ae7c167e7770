import type { LanguageModelV4StreamPart, LanguageModelV4StreamResult, LanguageModelV4Usage } from "@ai-sdk/provider"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream } from "effect"
import { Response } from "effect/ai"
import { TestClock } from "effect/testing"
import * as Shown from "../../../src/provider/errors/Shown.ts"
import { drainLimit, fromPart, make } from "../../../src/provider/ai-sdk/Stream.ts"

type Part = LanguageModelV4StreamPart

const tools = {
  has: (name: string) => name !== "mcp.find",
  readParams: (_: string, input: string) => JSON.parse(input)
}

const usage: LanguageModelV4Usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: undefined },
  outputTokens: { total: 2, text: 2, reasoning: 0 }
}
const finish: Part = { type: "finish", usage, finishReason: { unified: "stop", raw: "stop" } }
const hello: ReadonlyArray<Part> = [
  { type: "text-start", id: "1" },
  { type: "text-delta", id: "1", delta: "Hello" },
  { type: "text-end", id: "1" }
]

/** A body with these parts, that then ends, or stays open. Says whether it was cancelled. */
const body = (parts: ReadonlyArray<Part>, then: "ends" | "stays open" = "ends") => {
  const state = { cancelled: false }
  const stream = new ReadableStream<Part>({
    start: (controller) => {
      for (const part of parts) controller.enqueue(part)
      if (then === "ends") controller.close()
    },
    cancel: () => {
      state.cancelled = true
    }
  })
  return { state, stream }
}

const of = (open: (signal: AbortSignal) => PromiseLike<LanguageModelV4StreamResult>) =>
  make({ open, tools, warn: () => Effect.void, shown: Shown.unknown })

const ofParts = (parts: ReadonlyArray<Part>) =>
  of(() => Promise.resolve({ stream: body(parts).stream, response: { headers: { "x-request-id": "b" } } }))

const metadata = { openai: { itemId: "i" } }

const cases: ReadonlyArray<
  readonly [string, Parameters<typeof fromPart>[0], ReadonlyArray<Response.StreamPartEncoded>]
> = [
  [
    "text-start",
    { type: "text-start", id: "1", providerMetadata: metadata },
    [{ type: "text-start", id: "1", metadata }]
  ],
  ["text-delta", { type: "text-delta", id: "1", delta: "a" }, [{ type: "text-delta", id: "1", delta: "a" }]],
  [
    "text-end with citations",
    { type: "text-end", id: "1", citations: [] },
    [{ type: "text-end", id: "1", metadata: { aiSdk: { citations: [] } } }]
  ],
  ["reasoning-start", { type: "reasoning-start", id: "1" }, [{ type: "reasoning-start", id: "1" }]],
  [
    "reasoning-delta",
    { type: "reasoning-delta", id: "1", delta: "", providerMetadata: { anthropic: { signature: "s" } } },
    [{ type: "reasoning-delta", id: "1", delta: "", metadata: { anthropic: { signature: "s" } } }]
  ],
  ["reasoning-end", { type: "reasoning-end", id: "1" }, [{ type: "reasoning-end", id: "1" }]],
  [
    "tool-input-start",
    { type: "tool-input-start", id: "1", toolName: "t", providerExecuted: true },
    [{ type: "tool-params-start", id: "1", name: "t", providerExecuted: true }]
  ],
  [
    "tool-input-delta",
    { type: "tool-input-delta", id: "1", delta: "{" },
    [{ type: "tool-params-delta", id: "1", delta: "{" }]
  ],
  ["tool-input-end", { type: "tool-input-end", id: "1" }, [{ type: "tool-params-end", id: "1" }]],
  [
    "tool-call",
    { type: "tool-call", toolCallId: "1", toolName: "t", input: `{"a":1}` },
    [{ type: "tool-call", id: "1", name: "t", params: { a: 1 } }]
  ],
  [
    "tool-result",
    { type: "tool-result", toolCallId: "1", toolName: "t", result: 1 },
    [{ type: "tool-result", id: "1", name: "t", result: 1, isFailure: false, providerExecuted: true }]
  ],
  [
    "tool-approval-request",
    { type: "tool-approval-request", approvalId: "a", toolCallId: "1" },
    [{ type: "tool-approval-request", approvalId: "a", toolCallId: "1" }]
  ],
  [
    "file",
    { type: "file", mediaType: "image/png", data: { type: "data", data: "AQID" } },
    [{ type: "file", mediaType: "image/png", data: "AQID" }]
  ],
  [
    "reasoning-file",
    { type: "reasoning-file", mediaType: "image/png", data: { type: "data", data: "AQID" } },
    [{ type: "file", mediaType: "image/png", data: "AQID", metadata: { aiSdk: { reasoning: true } } }]
  ],
  [
    "source",
    { type: "source", sourceType: "url", id: "s", url: "https://a.b/" },
    [{ type: "source", sourceType: "url", id: "s", url: "https://a.b/", title: "https://a.b/" }]
  ],
  [
    "the result of a tool that nobody offered",
    { type: "tool-result", toolCallId: "1", toolName: "mcp.find", result: { hits: 2 }, isError: true },
    [
      {
        type: "text-start",
        id: "foreign",
        metadata: {
          aiSdk: {
            providerTool: {
              type: "tool-result",
              toolCallId: "1",
              toolName: "mcp.find",
              output: { type: "error-json", value: { hits: 2 } }
            }
          }
        }
      },
      { type: "text-end", id: "foreign" }
    ]
  ],
  [
    "a preliminary result of a tool that nobody offered",
    { type: "tool-result", toolCallId: "1", toolName: "mcp.find", result: 1, preliminary: true },
    []
  ],
  [
    "custom",
    { type: "custom", kind: "openai.compaction", providerMetadata: metadata },
    [
      {
        type: "text-start",
        id: "openai.compaction",
        metadata: { ...metadata, aiSdk: { custom: "openai.compaction" } }
      },
      { type: "text-end", id: "openai.compaction" }
    ]
  ],
  ["the announcement of an answer", { type: "custom", kind: "anthropic.message_start" }, []],
  [
    "response-metadata",
    { type: "response-metadata", id: "r", modelId: "m" },
    [{ type: "response-metadata", id: "r", modelId: "m" }]
  ],
  ["empty response-metadata", { type: "response-metadata" }, []],
  ["ping", { type: "ping" }, []],
  ["raw", { type: "raw", rawValue: 1 }, []]
]

describe("a part", () => {
  it.each(cases)("is converted: %s", (_, part, expected) => {
    expect(fromPart(part, tools)).toEqual(expected)
  })

  it.effect.each(cases)("decodes as a part of effect/ai: %s", ([, part]) =>
    Effect.asVoid(Schema.decodeEffect(Schema.Array(Response.StreamPart()))(fromPart(part, tools)))
  )
})

describe("a stream", () => {
  it.effect("ends with what the answer cost and the response's headers", () =>
    Effect.gen(function* () {
      const parts = yield* Stream.runCollect(ofParts([...hello, finish]))
      expect(parts.at(-1)).toMatchObject({
        type: "finish",
        reason: "stop",
        usage: { inputTokens: { total: 1 }, outputTokens: { total: 2 } },
        response: { status: 200, headers: { "x-request-id": "b" } }
      })
    })
  )

  it.effect("closes what the vendor left open", () =>
    Effect.gen(function* () {
      const parts = yield* Stream.runCollect(ofParts([...hello.slice(0, 2), finish]))
      expect(parts.map((part) => part.type)).toEqual(["text-start", "text-delta", "text-end", "finish"])
    })
  )

  it.effect("fails at an error part, after the text before it", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const error = yield* ofParts([
        ...hello,
        { type: "error", error: { type: "overloaded_error", message: "busy" } },
        finish
      ]).pipe(
        Stream.runForEach((part) => Effect.sync(() => void seen.push(part.type))),
        Effect.flip
      )
      expect(seen).toEqual(["text-start", "text-delta", "text-end"])
      expect([error.method, error.reason._tag, error.isRetryable]).toEqual([
        "streamText",
        "InternalProviderError",
        true
      ])
    })
  )

  it.effect.each<[string, ReadonlyArray<Part>]>([
    [
      "says that the provider was interrupted",
      [...hello, { ...finish, finishReason: { unified: "interrupted", raw: undefined } } as Part]
    ],
    ["says that it failed", [...hello, { ...finish, finishReason: { unified: "error", raw: undefined } } as Part]],
    ["says so in its own word", [...hello, { ...finish, finishReason: { unified: "error", raw: "kelp" } } as Part]],
    ["never finishes", hello]
  ])("fails when it %s", ([, parts]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Stream.runDrain(ofParts(parts)))
      expect([error.reason._tag, error.isRetryable]).toEqual(["InternalProviderError", true])
    })
  )

  it.effect.each([
    ["text/html; charset=utf-8", [], "InvalidResponseError"],
    ["application/json", [], "InvalidResponseError"],
    ["application/json", hello, "InternalProviderError"],
    ["text/event-stream", [], "InternalProviderError"]
  ] as const)("tells what was no stream from one that was cut: %s", ([type, parts, expected]) =>
    Effect.gen(function* () {
      const response = { headers: { "content-type": type } }
      const answer = of(() => Promise.resolve({ stream: body(parts).stream, response }))
      const { reason } = yield* Effect.flip(Stream.runDrain(answer))
      expect(reason._tag).toBe(expected)
    })
  )

  it.effect("reports the vendor's warnings before its parts", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const { stream } = body([
        { type: "stream-start", warnings: [{ type: "other", message: "careful" }] },
        ...hello,
        finish
      ])
      yield* make({
        open: () => Promise.resolve({ stream }),
        tools,
        warn: (warnings) => Effect.sync(() => void seen.push(...warnings)),
        shown: Shown.unknown
      }).pipe(Stream.runForEach((part) => Effect.sync(() => void seen.push(part.type))))
      expect(seen.slice(0, 2)).toEqual([{ type: "other", message: "careful" }, "text-start"])
    })
  )

  it.effect("ends after its finish even when the body never does, and then closes it", () =>
    Effect.gen(function* () {
      const { state, stream } = body([...hello, finish], "stays open")
      const fiber = yield* Effect.forkChild(Stream.runDrain(of(() => Promise.resolve({ stream }))))
      yield* Effect.yieldNow
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      expect(state.cancelled).toBe(false)
      yield* TestClock.adjust(drainLimit)
      yield* Fiber.join(fiber)
      expect(state.cancelled).toBe(true)
    })
  )
})

describe("a tool call in a stream", () => {
  const call = (id: string, input: string): ReadonlyArray<Part> => [
    { type: "tool-input-start", id, toolName: "t" },
    { type: "tool-input-end", id },
    { type: "tool-call", toolCallId: id, toolName: "t", input }
  ]
  const interrupted: Part = { type: "finish", usage, finishReason: { unified: "interrupted", raw: undefined } }
  const fault: Part = { type: "error", error: new Error("cut") }
  const typesOf = (parts: ReadonlyArray<Part>) =>
    Effect.gen(function* () {
      const types: Array<string> = []
      const exit = yield* Effect.exit(
        Stream.runForEach(ofParts(parts), ({ type }) => Effect.sync(() => void types.push(type)))
      )
      return { types, failed: exit._tag === "Failure" }
    })

  it.effect.each([
    { how: "fails", ending: [fault, finish] },
    { how: "is cut short", ending: [interrupted] },
    { how: "just stops", ending: [] }
  ])("is not made when the stream then $how, and neither is one before it", ({ ending }) =>
    Effect.gen(function* () {
      // As a model ends the calls that are open when its body ends.
      const [one, two] = [call("1", "{}"), call("2", `{"ci`)]
      const open = [...one.slice(0, 1), ...two.slice(0, 1)]
      const { failed, types } = yield* typesOf([...open, ...one.slice(1), ...two.slice(1), ...ending])
      expect(types).toEqual(["tool-params-start", "tool-params-start", "tool-params-end", "tool-params-end"])
      expect(failed).toBe(true)
    })
  )

  it.effect("comes before what follows it, in order", () =>
    Effect.gen(function* () {
      const { failed, types } = yield* typesOf([...call("1", "{}"), ...hello, ...call("2", "{}"), finish])
      const made = ["tool-params-start", "tool-params-end", "tool-call"]
      expect(types).toEqual([...made, "text-start", "text-delta", "text-end", ...made, "finish"])
      expect(failed).toBe(false)
    })
  )

  it.effect("of the provider's own tools is passed on at once, with its result", () =>
    Effect.gen(function* () {
      const { types } = yield* typesOf([
        { type: "tool-call", toolCallId: "1", toolName: "t", input: "{}", providerExecuted: true },
        { type: "tool-result", toolCallId: "1", toolName: "t", result: 1 },
        fault
      ])
      expect(types).toEqual(["tool-call", "tool-result"])
    })
  )
})

describe("the body of a stream", () => {
  /** Opens a body that never ends, with a vendor that ignores the abort signal, so only cancelling closes it. */
  const open = () => {
    const { state, stream } = body(hello, "stays open")
    return { state, stream: of(() => Promise.resolve({ stream })) }
  }

  it.effect("is not asked for until the stream is run", () =>
    Effect.sync(() => {
      let opened = 0
      const stream = of(() => {
        opened += 1
        return Promise.resolve({ stream: body([]).stream })
      })
      expect([Stream.isStream(stream), opened]).toEqual([true, 0])
    })
  )

  it.effect("is cancelled when the reader leaves early", () =>
    Effect.gen(function* () {
      const { state, stream } = open()
      yield* Stream.runDrain(Stream.take(stream, 1))
      expect(state.cancelled).toBe(true)
    })
  )

  it.effect("is cancelled when the reader fails", () =>
    Effect.gen(function* () {
      const { state, stream } = open()
      yield* Effect.flip(Stream.runForEach(stream, () => Effect.fail("enough")))
      expect(state.cancelled).toBe(true)
    })
  )

  it.effect("is cancelled when its scope closes before anything is read", () =>
    Effect.gen(function* () {
      const { state, stream } = open()
      yield* Effect.scoped(Effect.flatMap(Stream.toPull(stream), (pull) => pull))
      expect(state.cancelled).toBe(true)
    })
  )

  it.effect("is not cancelled when it was read to its end", () =>
    Effect.gen(function* () {
      const { state, stream } = body([...hello, finish])
      let aborted = false
      yield* Stream.runDrain(
        of((signal) => {
          signal.addEventListener("abort", () => {
            aborted = true
          })
          return Promise.resolve({ stream })
        })
      )
      expect([state.cancelled, aborted]).toEqual([false, false])
    })
  )

  /** The vendor answers at every possible step around the interruption. */
  it.effect.each(Array.from({ length: 12 }, (_, ticks) => ticks))(
    "is cancelled when it arrives as the reader is interrupted, %s steps apart",
    (ticks) =>
      Effect.gen(function* () {
        const { state, stream } = body(hello, "stays open")
        const arrived = Promise.withResolvers<LanguageModelV4StreamResult>()
        const fiber = yield* Effect.forkChild(Stream.runDrain(of(() => arrived.promise)))
        yield* Effect.yieldNow
        const early = ticks % 2 === 0
        if (early) arrived.resolve({ stream })
        for (let tick = 0; tick < ticks; tick++) yield* Effect.promise(() => Promise.resolve())
        yield* Fiber.interrupt(fiber)
        if (!early) arrived.resolve({ stream })
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        expect(state.cancelled).toBe(true)
      })
  )

  it.effect("has its request aborted when the reader is interrupted before it arrives", () =>
    Effect.gen(function* () {
      let signal: AbortSignal | undefined
      const fiber = yield* of((given) => {
        signal = given
        return new Promise(() => {})
      }).pipe(Stream.runDrain, Effect.forkChild)
      yield* Effect.yieldNow
      expect(signal?.aborted).toBe(false)
      yield* Fiber.interrupt(fiber)
      expect(signal?.aborted).toBe(true)
    })
  )
})
