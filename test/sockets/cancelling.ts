/** Model calls, and the ways in which they are cancelled. */
import { type Context, Effect, Exit, Fiber, type ManagedRuntime, Option, Schema, Scope, Stream } from "effect"
import { LanguageModel, Tool, Toolkit } from "effect/ai"
import { AiSdk } from "holdfast/provider"
import type { Chance } from "../../src/testing/seed/Chance.ts"
import * as ThreadClock from "./threadClock.ts"

/** The header that tells a server which call a request belongs to. */
export const header = "x-call"

/** A call, and how it is to be cancelled. */
export interface Plan {
  readonly number: number
  readonly form: "whole" | "stream"
  readonly way: "interruption" | "AbortSignal" | "scope closes" | "reader leaves"
  /** Which of three variants of the way. */
  readonly variant: number
  /** How long it is left alone once it is where it should be. */
  readonly waitMillis: number
}

export const draw = (chance: Chance, number: number): Plan => {
  const form = chance.oneOf(["whole", "stream"])
  return {
    number,
    form,
    way:
      form === "whole"
        ? chance.oneOf(["interruption", "AbortSignal", "scope closes"])
        : chance.oneOf(["interruption", "AbortSignal", "scope closes", "reader leaves"]),
    variant: chance.below(3),
    waitMillis: 10 * chance.next()
  }
}

export const tools = Toolkit.make(
  Tool.make("LookUp", { parameters: Schema.Struct({ call: Schema.String }), success: Schema.String })
)

/** What calls need. */
export type Services = LanguageModel.LanguageModel | Tool.Handler<"LookUp">

/** Cancels a call that is under way: tells when it was told, and ends when the call has ended. */
export type Cancel = () => Effect.Effect<number>

/** Starts a call; `onText` is told of the text of a stream, if there will be any before it is cancelled. */
export const start = (
  { form, number, variant, way }: Plan,
  runtime: ManagedRuntime.ManagedRuntime<Services, never>,
  onText: (() => void) | undefined
): Effect.Effect<Cancel> =>
  Effect.gen(function* () {
    const context = yield* runtime.contextEffect
    const request = { prompt: `This is call ${number}.`, toolkit: tools }
    const settings = { headers: { [header]: String(number) } }
    const parts = LanguageModel.streamText(request).pipe(
      AiSdk.withStreamSettings(settings),
      Stream.tap((part) => Effect.sync(() => (part.type === "text-delta" ? onText?.() : undefined)))
    )
    const call =
      form === "stream"
        ? Stream.runDrain(parts)
        : Effect.asVoid(AiSdk.withSettings(LanguageModel.generateText(request), settings))
    switch (way) {
      case "interruption": {
        const fiber = yield* Effect.forkChild(Effect.provideContext(call, context))
        return interrupting(fiber)
      }
      case "AbortSignal": {
        const { abort, signal } = abortable()
        const ended =
          variant === 0
            ? Effect.runPromiseExit(Effect.provideContext(call, context), { signal })
            : runtime.runPromiseExit(call, { signal })
        return () =>
          Effect.tap(now, () => {
            abort()
            return Effect.promise(() => ended)
          })
      }
      case "scope closes": {
        const scope = yield* Scope.make()
        if (form === "stream" && onText !== undefined && variant === 0) yield* pausing(parts, scope, context)
        else yield* Effect.forkIn(Effect.provideContext(call, context), scope)
        return () => Effect.tap(now, Scope.close(scope, Exit.void))
      }
      case "reader leaves": {
        const provided = Stream.provideContext(parts, context)
        if (onText === undefined || variant === 0) return returning(provided)
        return yield* leaving(provided, variant === 1)
      }
    }
  })

const now = Effect.sync(ThreadClock.now)

/** Interrupts the fiber of a call. */
export const interrupting =
  (fiber: Fiber.Fiber<unknown, unknown>): Cancel =>
  () =>
    Effect.tap(now, Fiber.interrupt(fiber))

/** What is seen of a call from outside. */
export interface Sight {
  /** It is where it should be cancelled. */
  readonly reached: Effect.Effect<void>
  /** Nothing of it is open any more; gives since when, by the thread's clock. */
  readonly closed: Effect.Effect<number>
}

/** Cancels a call so long after it has got where it should be, and tells for how many milliseconds it, or its socket, lived on. */
export const outlived = ({ closed, reached }: Sight, waitMillis: number, cancel: Cancel) =>
  Effect.gen(function* () {
    yield* Effect.timeout(reached, "10 seconds")
    yield* Effect.sleep(waitMillis)
    const toldAt = yield* cancel()
    const endedAt = ThreadClock.now()
    const closedAt = yield* Effect.timeoutOption(closed, "2 seconds")
    return (
      Math.max(
        endedAt,
        Option.getOrElse(closedAt, () => Infinity)
      ) - toldAt
    )
  })

const abortable = () => {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}

/** A reader who has read some text and does nothing at the moment. */
const pausing = <Part extends { readonly type: string }, E>(
  parts: Stream.Stream<Part, E, Services>,
  scope: Scope.Closeable,
  context: Context.Context<Services>
) =>
  Stream.toPull(parts).pipe(
    Effect.flatMap(Effect.repeat({ until: (parts) => parts.some(({ type }) => type === "text-delta") })),
    Scope.provide(scope),
    Effect.provideContext(context),
    Effect.forkIn(scope)
  )

/** A reader who waits for the next part, and is called back. */
const returning = <A, E>(parts: Stream.Stream<A, E>): Cancel => {
  const iterator = Stream.toAsyncIterable(parts)[Symbol.asyncIterator]()
  const read = async (): Promise<unknown> => (await iterator.next()).done === true || read()
  const ended = read()
  return () => Effect.tap(now, () => Effect.promise(() => Promise.all([iterator.return?.(), ended])))
}

/** A reader who leaves at the next part once he is told to: out of a `for await`, or by `Stream.takeUntil`. */
const leaving = <A, E>(parts: Stream.Stream<A, E>, isLoop: boolean): Effect.Effect<Cancel> => {
  let isTold = false
  let leftAt = Number.NaN
  const leaves = () => {
    if (isTold) leftAt = ThreadClock.now()
    return isTold
  }
  const loop = async () => {
    for await (const _ of Stream.toAsyncIterable(parts)) if (leaves()) break
  }
  const reading = isLoop ? Effect.promise(loop) : Effect.orDie(Stream.runDrain(Stream.takeUntil(parts, leaves)))
  return Effect.map(Effect.forkChild(reading), (fiber) => () => {
    isTold = true
    return Effect.map(Fiber.join(fiber), () => leftAt)
  })
}
