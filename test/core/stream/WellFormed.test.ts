import { describe, expect, it } from "@effect/vitest"
import { Effect, Result, Schema, Stream } from "effect"
import type { Response } from "effect/ai"
import { StreamShape } from "holdfast/testing"
import { enforce } from "../../../src/core/stream/WellFormed.ts"

type Part = Response.StreamPartEncoded

const finish: Part = { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} } }
const delta = (id: string, text: string): Part => ({ type: "text-delta", id, delta: text })

const run = (parts: ReadonlyArray<Part>) => Stream.runCollect(enforce(Stream.fromIterable(parts), "Test"))

const textOf = (parts: ReadonlyArray<Part>) => parts.map((part) => ("delta" in part ? part.delta : "")).join("")

describe("enforce", () => {
  it.effect.each<[string, ReadonlyArray<Part>, ReadonlyArray<string>]>([
    [
      "leaves a good stream alone",
      [{ type: "text-start", id: "1" }, delta("1", "a"), { type: "text-end", id: "1" }],
      ["text-start", "text-delta", "text-end"]
    ],
    [
      "adds a missing start",
      [delta("1", "a"), { type: "text-end", id: "1" }],
      ["text-start", "text-delta", "text-end"]
    ],
    ["adds a missing end", [{ type: "reasoning-start", id: "1" }], ["reasoning-start", "reasoning-end"]],
    ["drops the end of nothing", [{ type: "text-end", id: "1" }], []],
    [
      "ends a block that starts again",
      [
        { type: "text-start", id: "1" },
        { type: "text-start", id: "1" }
      ],
      ["text-start", "text-end", "text-start", "text-end"]
    ],
    [
      "keeps blocks of different kinds with one id apart",
      [
        { type: "text-start", id: "1" },
        { type: "reasoning-start", id: "1" },
        { type: "text-end", id: "1" }
      ],
      ["text-start", "reasoning-start", "text-end", "reasoning-end"]
    ],
    [
      "ends a tool's parameters before its call",
      [
        { type: "tool-params-start", id: "1", name: "t" },
        { type: "tool-call", id: "1", name: "t", params: {} }
      ],
      ["tool-params-start", "tool-params-end", "tool-call"]
    ],
    ["drops parameters of a tool nobody named", [{ type: "tool-params-delta", id: "1", delta: "{" }], []]
  ])("%s", ([, parts, expected]) =>
    Effect.map(run([...parts, finish]), (out) => expect(out.map((part) => part.type)).toEqual([...expected, "finish"]))
  )

  it.effect("lets nothing follow finish", () =>
    Effect.map(run([finish, delta("1", "late"), finish]), (out) => expect(out).toEqual([finish]))
  )

  it.effect("fails, retryably, when the answer never finishes, after what did come", () =>
    Effect.gen(function* () {
      const seen: Array<Part> = []
      const result = yield* enforce(Stream.fromIterable([delta("1", "a")]), "Test").pipe(
        Stream.runForEach((part) => Effect.sync(() => seen.push(part))),
        Effect.result
      )
      expect(textOf(seen)).toBe("a")
      expect(Result.isFailure(result) && [result.failure.reason._tag, result.failure.isRetryable]).toEqual([
        "InternalProviderError",
        true
      ])
    })
  )

  const Step = Schema.Struct({
    kind: Schema.Literals(["text", "reasoning", "tool-params"]),
    step: Schema.Literals(["start", "delta", "end", "call", "finish"]),
    id: Schema.Literals(["1", "2"])
  })

  const toPart = ({ id, kind, step }: typeof Step.Type, index: number): Part => {
    if (step === "finish") return finish
    if (step === "call") return { type: "tool-call", id, name: "t", params: {} }
    if (step === "delta") return { type: `${kind}-delta`, id, delta: `<${index}>` }
    return kind === "tool-params" && step === "start"
      ? { type: "tool-params-start", id, name: "t" }
      : ({ type: `${kind}-${step}`, id } as Part)
  }

  it.effect.prop("makes any stream well-formed and loses no text before its finish", [Schema.Array(Step)], ([steps]) =>
    Effect.gen(function* () {
      const parts = [...steps.map(toPart), finish]
      const out = yield* run(parts)
      expect(StreamShape.malformation(out)).toBeUndefined()
      const words = (all: ReadonlyArray<Part>) => all.filter((part) => /^(text|reasoning)-delta$/.test(part.type))
      expect(words(out)).toEqual(words(parts.slice(0, parts.indexOf(finish))))
    })
  )
})

describe("StreamShape.malformation", () => {
  it.each<[ReadonlyArray<Part>, string]>([
    [[delta("1", "a"), finish], "text 1 has a delta and no start"],
    [[{ type: "text-end", id: "1" }, finish], "text 1 has an end and no start"],
    [[{ type: "text-start", id: "1" }, { type: "text-start", id: "1" }, finish], "text 1 starts twice"],
    [[{ type: "text-start", id: "1" }, finish], "text 1 never ends"],
    [[finish, finish], "1 part(s) after finish"],
    [[], "no finish part at the end"],
    [[{ type: "error", error: "no" }, finish], "an error part: failures must fail the stream"]
  ])("of %j is found", (parts, problem) => {
    expect(StreamShape.malformation(parts)).toBe(problem)
  })
})

it.effect("ends 20,000 blocks that are open at the same time", () =>
  Effect.gen(function* () {
    const ids = Array.from({ length: 20_000 }, (_, index) => String(index))
    const starts = ids.map((id): Part => ({ type: "tool-params-start", id, name: "T" }))
    const calls = ids.map((id): Part => ({ type: "tool-call", id, name: "T", params: {} }))
    const parts = yield* run([...starts, ...calls, finish])
    expect(parts.filter((part) => part.type === "tool-params-end").map((part) => part.id)).toEqual(ids)
  })
)
