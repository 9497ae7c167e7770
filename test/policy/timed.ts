/** Runs effects on the test clock and says how long they took. */
import { assert } from "@effect/vitest"
import { type Duration, Effect, type Exit, Fiber, Stream } from "effect"
import type { AiError, IdGenerator, Response } from "effect/ai"
import { TestClock } from "effect/testing"
import type { ModelProvider } from "holdfast/provider"
import { FaultyModel } from "holdfast/testing"
import { request } from "./scripted.ts"

export const ways = ["generateText", "streamText"] as const
export type Way = (typeof ways)[number]

export const made = (name: string, ...script: ReadonlyArray<FaultyModel.Behaviour>) =>
  FaultyModel.make({ name, script })

type Because = Extract<FaultyModel.Fault, { is: "refuse" }>["because"]

export const refusing = (because: Because, retryAfter?: Duration.Input): FaultyModel.Behaviour => ({
  fault: { is: "refuse", because, retryAfter }
})

/** The text of an answer to the usual request. */
export const ask = (
  model: ModelProvider.ModelProvider,
  way: Way = "generateText"
): Effect.Effect<string, AiError.AiError, IdGenerator.IdGenerator> =>
  Effect.flatMap(request, (options) =>
    Effect.map(
      way === "generateText" ? model.generateText(options) : Stream.runCollect(model.streamText(options)),
      (parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>) =>
        parts.map((part) => (part.type === "text" ? part.text : part.type === "text-delta" ? part.delta : "")).join("")
    )
  )

/** How an effect ended, and how many milliseconds it took, to a tenth of a second. */
export const timed = Effect.fnUntraced(function* <A, E, R>(self: Effect.Effect<A, E, R>, atMost = 60_000) {
  const fiber = yield* Effect.forkChild(Effect.exit(self))
  let took = 0
  // What needs no time needs turns of its fibers.
  const settled = Effect.repeat(Effect.yieldNow, { times: 30 })
  yield* Effect.andThen(TestClock.adjust(0), settled)
  while (fiber.pollUnsafe() === undefined && took < atMost) {
    yield* Effect.andThen(TestClock.adjust(100), settled)
    took += 100
  }
  assert.isDefined(fiber.pollUnsafe(), `nothing within ${atMost} ms`)
  const exit: Exit.Exit<A, E> = yield* Fiber.join(fiber)
  return { exit, took }
})

/** Whether it took so many seconds, and what chance adds to them. */
export const aboutSeconds = (took: number, seconds: number): void => {
  assert.isAtLeast(took, seconds * 1_000)
  assert.isBelow(took, (seconds + 2) * 1_000)
}
