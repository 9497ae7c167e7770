/** A provider that answers each call by the next entry of a script, and counts what was asked of it. */
import { Effect, Stream } from "effect"
import { AiError, LanguageModel, type Prompt, type Response } from "effect/ai"
import type { ModelProvider } from "holdfast/provider"

export type Parts = ReadonlyArray<Response.StreamPartEncoded>
export type Answer = {
  readonly parts?: Parts
  readonly delay?: number
  readonly error?: AiError.AiError
  /** Milliseconds its finalizer takes. */
  readonly closing?: number
}

export const text = (content: string): Parts => [
  { type: "response-metadata", id: "r", modelId: "m" },
  { type: "text-start", id: "t" },
  { type: "text-delta", id: "t", delta: content },
  { type: "text-end", id: "t" },
  finish
]

const finish: Response.FinishPartEncoded = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 1 }, outputTokens: { total: 1 } },
  response: undefined
}

export const failure = (reason: AiError.AiErrorReason): AiError.AiError =>
  AiError.make({ module: "scripted", method: "call", reason })

export const scripted = (script: ReadonlyArray<Answer>) => {
  const seen = { calls: 0, open: 0, mostOpen: 0 }
  const next = Effect.acquireRelease(
    Effect.sync(() => {
      seen.mostOpen = Math.max(seen.mostOpen, ++seen.open)
      const answer: Answer = script[Math.min(seen.calls++, script.length - 1)] ?? {}
      return answer
    }),
    ({ closing = 0 }) =>
      Effect.andThen(
        closing > 0 ? Effect.sleep(closing) : Effect.void,
        Effect.sync(() => seen.open--)
      )
  )
  const provider: ModelProvider.ModelProvider = {
    name: "scripted",
    model: "m",
    generateText: () =>
      Effect.scoped(
        Effect.flatMap(next, ({ delay = 0, error, parts = text("ok") }) =>
          Effect.delay(
            error === undefined
              ? Effect.succeed<Array<Response.PartEncoded>>([
                  {
                    type: "text",
                    text: parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join("")
                  },
                  finish
                ])
              : Effect.fail(error),
            delay
          )
        )
      ),
    streamText: () =>
      Stream.unwrap(
        Effect.map(next, ({ delay = 0, error, parts = error === undefined ? text("ok") : [] }) =>
          Stream.concat(
            Stream.fromIterable(parts).pipe(Stream.tap(() => Effect.sleep(delay))),
            error === undefined ? Stream.empty : Stream.fail(error)
          )
        )
      )
  }
  return { provider, seen }
}

/** The options of a plain call with this prompt, as `LanguageModel.make` prepares them. */
export const asking = Effect.fnUntraced(function* (prompt: Prompt.RawInput) {
  let prepared: LanguageModel.ProviderOptions | undefined
  const model = yield* LanguageModel.make({
    generateText: (options) =>
      Effect.sync(() => {
        prepared = options
        return []
      }),
    streamText: () => Stream.empty
  })
  yield* Effect.orDie(model.generateText({ prompt }))
  return prepared ?? (yield* Effect.die("no call was prepared"))
})

export const request = asking("hello")
