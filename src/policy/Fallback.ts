/**
 * Goes on to the next provider when one fails.
 *
 * Until the first content of an answer nobody notices. After it, an application has to choose what it prefers to an
 * error: see {@link Options.midStream}.
 */
import { Clock, type Duration, Effect, Predicate, Stream } from "effect"
import { type AiError, type IdGenerator, type LanguageModel, Prompt, type Response } from "effect/ai"
import * as Monotonic from "../core/Monotonic.ts"
import { CurrentOrigin } from "../core/call/Attempt.ts"
import * as AttemptAllowance from "../core/call/AttemptAllowance.ts"
import * as CallContext from "../core/call/CallContext.ts"
import * as CallTrail from "../core/call/CallTrail.ts"
import * as Deadline from "../core/call/Deadline.ts"
import * as FinishMark from "../core/call/FinishMark.ts"
import * as Patience from "../core/call/Patience.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"
import { keyOf, type ModelProvider } from "../core/call/ModelProvider.ts"
import * as RecordedAttempts from "../core/call/RecordedAttempts.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as FirstContent from "../core/stream/FirstContent.ts"
import * as ContinuedStream from "./fallback/ContinuedStream.ts"
import * as Verdict from "../core/call/Verdict.ts"

export { isRestart } from "./fallback/ContinuedStream.ts"

export interface Options {
  /** Which errors are worth another provider. Default: {@link isProvidersDoing}. */
  readonly when?: ((error: AiError.AiError) => boolean) | undefined
  /**
   * What to do when a provider fails after content has been passed on. Default `fail`.
   *
   * - `fail`: the stream fails with the provider's error.
   * - `restart`: the next provider answers anew. What was passed on stays where it is; a part for which
   *   {@link isRestart} is true says that it is void from there on. Where a tool of the application has been called
   *   already, the stream fails: the tool may have run, and would run again.
   * - `continue`: the next provider is asked to go on from the text so far, and its text follows in the same block. Where
   *   any tool has been called already, the stream fails: its result belongs between the two texts. So it does after
   *   1,000,000 characters, for no more of an answer is kept.
   */
  readonly midStream?: "fail" | "restart" | "continue" | undefined
  /**
   * Asks a provider to go on from a text, for `continue`. Default: the text as the assistant's last message, which
   * the model completes; what it repeats of it is left out.
   */
  readonly continueFrom?:
    | ((request: LanguageModel.ProviderOptions, text: string) => LanguageModel.ProviderOptions)
    | undefined
  /**
   * For how long a provider may make the call wait while there is another to ask: for its turn, or for the next attempt
   * after one that failed. Counted from when it is asked; an endless one waits for each. Default 1 second.
   */
  readonly patience?: Duration.Input | undefined
}

export const defaults = { midStream: "fail", patience: "1 second" } as const

/** Who is asked next, and for which errors, if not for those of {@link Options.when}. */
export type Target<E = never, R = never> =
  | ModelProvider
  | Effect.Effect<ModelProvider, E, R>
  | {
      readonly provider: ModelProvider | Effect.Effect<ModelProvider, E, R>
      readonly when?: ((error: AiError.AiError) => boolean) | undefined
    }

/**
 * Asks one more provider when what is inside has failed. See {@link chain} for several.
 *
 * **Example**
 *
 * ```ts run
 * import { createOpenAI } from "@ai-sdk/openai"
 * import { Fallback } from "holdfast/policy"
 * import { AiSdk } from "holdfast/provider"
 *
 * const spare = createOpenAI({ apiKey: "sk-…" })("gpt-5-nano")
 * const policies = [Fallback.to(AiSdk.provider(spare), { midStream: "restart" })]
 * policies.length // => 1
 * ```
 */
export const to = <R = never>(target: Target<never, R>, options: Options = {}): PolicyKind.Of<"Fallback", R> =>
  chain([target], options)

/**
 * Asks other providers in order when what is inside has failed: each error goes to the next provider that is there for
 * it. When there is none left, the call fails with the last error.
 *
 * What the policies of a provider itself refuse, as its circuit, queue or rate limit, goes on to the next at once. They
 * keep the call waiting no longer than {@link Options.patience}, but for those of the last provider, after which there is
 * nobody to ask.
 *
 * A provider that comes with policies of its own is made with `Model.compose`. Each further provider draws on the call's
 * {@link RetryBudget}; none is asked when the whole call's time is up. Interruption ends the one that is being asked.
 */
export const chain = <R = never>(
  targets: ReadonlyArray<Target<never, R>>,
  options: Options = {}
): PolicyKind.Of<"Fallback", R> => {
  check.fields(options, fields)
  const when = check.callback("when", options.when ?? isProvidersDoing)
  const continueFrom = check.callback("continueFrom", options.continueFrom ?? asPrefix)
  const midStream = check.oneOf("midStream", options.midStream ?? defaults.midStream, midStreams)
  const patienceMillis = check.millis("patience", options.patience ?? defaults.patience, { atLeast: 0, endless: true })
  if (targets.length === 0) throw new RangeError("Fallback needs at least one provider to fall back to")
  const resolved = targets.map((target) => resolve(target, when))
  return PolicyKind.of("Fallback", (first) =>
    Effect.gen(function* () {
      const steps = yield* Effect.all(resolved)
      const settings: Settings = { steps, midStream, continueFrom, patienceMillis }
      const provider = RecordedAttempts.several({
        ...first,
        generateText: (request) => generate(settings, first, 0, request),
        streamText: (request) => stream(settings, first, request)
      })
      return CallContext.contributing(provider, settings, steps.length)
    })
  )
}

/**
 * Whether an error is the doing of the provider that was asked, so that another may answer: it is unwell, refuses
 * this account, is busy, or was not asked, for its circuit, its limits or its queue. False for what is wrong with the
 * request itself, and for what ends the whole call: its time, a spent budget, its tenant's limit.
 */
export const isProvidersDoing = Verdict.isProvidersDoing

interface Step {
  readonly provider: ModelProvider
  readonly when: (error: AiError.AiError) => boolean
}

interface Settings {
  readonly steps: ReadonlyArray<Step>
  readonly midStream: NonNullable<Options["midStream"]>
  readonly continueFrom: NonNullable<Options["continueFrom"]>
  readonly patienceMillis: number
}

const resolve = <R>(target: Target<never, R>, when: Step["when"]): Effect.Effect<Step, never, R> => {
  check.record("target", target)
  const isAlone = Effect.isEffect(target) || "generateText" in target
  if (!isAlone) OptionCheck.of("Fallback target").fields(target, { provider: true, when: true })
  const { provider, when: own = when } = isAlone ? { provider: target } : target
  check.callback("when", own)
  if (!Effect.isEffect(provider) && !Predicate.hasProperty(provider, "generateText")) {
    check.reject("target", "a provider, or an Effect that gets one", provider)
  }
  return Effect.map(Effect.isEffect(provider) ? provider : Effect.succeed(provider), (made) => ({
    provider: RecordedAttempts.recorded(made),
    when: own
  }))
}

type Next = { readonly at: number; readonly provider: ModelProvider }

/** The next provider that is there for this error, if the call may ask one more. */
const after = Effect.fnUntraced(function* (
  { steps }: Settings,
  from: ModelProvider,
  at: number,
  error: AiError.AiError,
  midStream?: "restarted" | "continued"
) {
  const index = steps.findIndex((step, n) => n >= at && step.when(error))
  const step = steps[index]
  if (step === undefined || (yield* Deadline.remainingMillis) <= 0 || !(yield* AttemptAllowance.take())) {
    return yield* error
  }
  yield* CallTrail.record({
    _tag: "FellBack",
    from: keyOf(from),
    to: keyOf(step.provider),
    ...(midStream === undefined ? {} : { midStream })
  })
  return { at: index + 1, provider: step.provider } satisfies Next
})

/** The patience with a provider: while others stand behind it, its own; with the last one, what is around the line. */
const patienceWith = ({ patienceMillis, steps }: Settings, at: number): Effect.Effect<Patience.Patience | undefined> =>
  Effect.withFiber((fiber) => {
    const outer = fiber.getRef(Patience.Current)
    if (at >= steps.length || patienceMillis === Infinity) return Effect.succeed(outer)
    return Effect.succeed({
      until: Monotonic.millisUnsafe(fiber.getRef(Clock.Clock)) + patienceMillis,
      isNext: (error) => steps.some((step, n) => n >= at && step.when(error)),
      outer
    })
  })

const patiently = <A, E, R>(settings: Settings, at: number, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(patienceWith(settings, at), (patience) => Effect.provideService(self, Patience.Current, patience))

/** What another provider is asked: without what only the first one has seen. */
const anew = (request: LanguageModel.ProviderOptions): LanguageModel.ProviderOptions => ({
  ...request,
  previousResponseId: undefined,
  incrementalPrompt: undefined
})

const generate = (
  settings: Settings,
  provider: ModelProvider,
  at: number,
  request: LanguageModel.ProviderOptions
): ReturnType<ModelProvider["generateText"]> =>
  Effect.catch(patiently(settings, at, provider.generateText(request)), (error) =>
    Effect.flatMap(after(settings, provider, at, error), (to) =>
      Effect.provideService(generate(settings, to.provider, to.at, anew(request)), CurrentOrigin, "fallback")
    )
  )

type PartStream = ReturnType<ModelProvider["streamText"]>
type Part = Response.StreamPartEncoded

/** Streams the first provider that gives content; what happens after that, `midStream` says. */
const stream = (settings: Settings, first: ModelProvider, request: LanguageModel.ProviderOptions): PartStream =>
  Stream.suspend(() => {
    let current: Next = { provider: first, at: 0 }
    const ask = (
      begin: FirstContent.Begin,
      to: Next,
      asked: LanguageModel.ProviderOptions
    ): Effect.Effect<
      FirstContent.Begun<AiError.AiError, IdGenerator.IdGenerator>,
      AiError.AiError,
      IdGenerator.IdGenerator
    > => {
      current = to
      return Effect.catch(patiently(settings, to.at, begin(to.provider.streamText(asked))), (error) =>
        Effect.flatMap(after(settings, to.provider, to.at, error), (other) =>
          Effect.provideService(ask(begin, other, anew(asked)), CurrentOrigin, "fallback")
        )
      )
    }
    const begun = FirstContent.streamOf((begin) => ask(begin, current, request))
    if (settings.midStream === "fail") return begun
    const tracker = new ContinuedStream.Tracker(settings.midStream === "continue" ? mostText : 0)
    const tracked = ContinuedStream.tracked(begun, tracker)
    return Stream.catch(tracked, (error) => goOn(settings, current, error, request, tracker))
  })

/** How many characters of an answer are kept for a provider that is to go on from them: more than models say at once. */
const mostText = 1_000_000

/** Lets the next provider take a stream over, and the one after it when that fails too. */
const goOn = (
  settings: Settings,
  failed: Next,
  error: AiError.AiError,
  request: LanguageModel.ProviderOptions,
  tracker: ContinuedStream.Tracker
): PartStream => {
  const isRestart = settings.midStream === "restart"
  if (tracker.isFinished || (tracker.isTooLong && !isRestart)) return Stream.fail(error)
  if (tracker.called !== undefined && !(isRestart && tracker.called === "provider's")) {
    return Stream.fail(error)
  }
  const how = isRestart ? "restarted" : "continued"
  return Stream.unwrap(
    Effect.map(after(settings, failed.provider, failed.at, error, how), (to) => {
      const mark = { from: keyOf(failed.provider), to: keyOf(to.provider) }
      const frame: ReadonlyArray<Part> = isRestart
        ? [...tracker.close(), restartMark(mark)]
        : tracker.close(tracker.openText)
      // Where there is no text to go on from, which may be void by now, it is asked anew too.
      const isAnew = isRestart || tracker.text === ""
      const asked = isAnew ? anew(request) : goneOn(settings, anew(request), tracker.text)
      frame.forEach((part) => tracker.see(part))
      const fit = isRestart ? restarting(tracker, mark) : ContinuedStream.continuing(tracker, { continued: mark })
      const answer = Stream.unwrap(
        Effect.map(patienceWith(settings, to.at), (patience) =>
          to.provider
            .streamText(asked)
            .pipe(
              Stream.provideService(Patience.Current, patience),
              Stream.provideService(CurrentOrigin, isAnew ? "fallback" : "continuation")
            )
        )
      )
      return Stream.concat(Stream.fromIterable(frame), ContinuedStream.tracked(answer, tracker, fit)).pipe(
        Stream.catch((next) => goOn(settings, to, next, request, tracker))
      )
    })
  )
}

const goneOn = ({ continueFrom }: Settings, request: LanguageModel.ProviderOptions, text: string) => {
  const made = continueFrom(request, text)
  return isRequest(made) ? made : check.reject("continueFrom", "a function that gives a request", made)
}

const isRequest = Predicate.hasProperty("prompt")

const restartMark = (mark: { readonly from: string; readonly to: string }): Response.StreamPartEncoded => ({
  type: "response-metadata",
  metadata: { holdfast: { restarted: { ...mark } } }
})

const restarting = (tracker: ContinuedStream.Tracker, mark: object) => {
  const rename = ContinuedStream.renaming(tracker)
  return (part: Response.StreamPartEncoded): ReadonlyArray<Response.StreamPartEncoded> => [
    part.type === "finish" ? FinishMark.add(part, { restarted: mark }) : rename(part)
  ]
}

const asPrefix = (request: LanguageModel.ProviderOptions, text: string): LanguageModel.ProviderOptions => ({
  ...request,
  prompt: Prompt.concat(request.prompt, [{ role: "assistant", content: text }])
})

const check = OptionCheck.of("Fallback")

const fields: OptionCheck.Fields<Options> = { when: true, midStream: true, continueFrom: true, patience: true }

const midStreams = ["fail", "restart", "continue"] as const
