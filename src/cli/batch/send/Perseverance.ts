/**
 * Sends a request until it is answered, or has failed by its own doing; what the server cannot help ends the run, or is waited for.
 *
 * | what happens | what is done |
 * |---|---|
 * | the request is refused for what it says | it has failed |
 * | it fails again and again, and others do not | it has failed, after `retries` more attempts |
 * | a rate limit | it waits its turn, as often as it takes |
 * | nobody is answered any more | all wait, for at most `patience` since the last good sign |
 * | the key, the quota or the only model is gone | the run ends |
 * | one model of several is not there | its requests are left for another run, and the others go on |
 */
import { Duration, Effect, Random } from "effect"
import type { AiError } from "effect/ai"
import * as Failure from "../../../core/call/Failure.ts"
import * as Monotonic from "../../../core/Monotonic.ts"
import * as Verdict from "../../../core/call/Verdict.ts"
import { Retry } from "../../../policy/index.ts"
import { BatchError, ProviderUnusable } from "../BatchError.ts"
import type { BatchRequest } from "../input/BatchRequest.ts"
import * as ResultLine from "../output/ResultLine.ts"
import * as Summary from "../report/Summary.ts"
import * as Tally from "./AttemptTally.ts"
import type { Lane, Lanes } from "./Lanes.ts"
import * as Rejections from "./Rejections.ts"
import * as Sending from "./Sending.ts"

export interface Options {
  readonly lanes: Lanes
  readonly retries: number
  /** The longest wait for a server that answers nobody. */
  readonly patienceMillis: number
  /** Whether to wait for one that has not answered anybody yet, too. */
  readonly isPatientAtStart: boolean
  /** Where the server is, for messages. */
  readonly baseUrl: string
  /** What to do when the key is refused. */
  readonly keyAdvice: string | undefined
  readonly headersOf: (request: BatchRequest) => { readonly [name: string]: string } | undefined
  /** Whether the run ends: who has not been sent by then is left, and waits for nothing. */
  readonly isStopping: () => boolean
  /** Ends the run. */
  readonly endRun: (error: BatchError) => Effect.Effect<void>
  /** Hears that everybody waits, and for how long. */
  readonly onWait: (millis: number, because: string) => Effect.Effect<void>
}

export const defaults = { base: "250 millis", cap: "30 seconds" } as const

/** The request is left for another run: its model is not there, or the run ends. */
export const left = "left" as const
export type Left = typeof left

const again = "again" as const

/** So many attempts that all fail, before anything else was heard, are enough to know. */
const failuresAtStart = 5

/** So many requests that fail, with no sign of life between, are not all to blame. */
const faultsOfServer = 3

export const make = (options: Options) => {
  const { baseUrl, headersOf, isPatientAtStart, lanes, onWait, patienceMillis, retries } = options
  let hasBegun = false
  let silentAttempts = 0
  let waitsUntil = 0

  const unusable = (
    kind: ProviderUnusable["kind"],
    error: AiError.AiError,
    advice?: string
  ): Effect.Effect<never, Left> => {
    const problem = ResultLine.messageOf(error)
    const reason = new ProviderUnusable({ kind, baseUrl, problem, ...(advice === undefined ? {} : { advice }) })
    return Effect.andThen(options.endRun(new BatchError({ reason })), Effect.fail(left))
  }

  const well = (lane: Lane): void => {
    lane.faultsSince = undefined
    lane.faulting.clear()
    hasBegun = true
  }

  const pause = (millis: number, because: string, isSilent: boolean) =>
    Effect.gen(function* () {
      const now = yield* Monotonic.millis
      if (isSilent && millis >= 2_000 && now + millis > waitsUntil + 2_000) {
        waitsUntil = now + millis
        yield* onWait(millis, because)
      }
      yield* Effect.sleep(millis)
    })

  /** Waits, as long as the lane may be silent; then the run ends. */
  const outlast = (lane: Lane, error: AiError.AiError, millis: number, because: string) =>
    Effect.gen(function* () {
      const now = yield* Monotonic.millis
      lane.faultsSince ??= now
      const millisLeft = lane.faultsSince + patienceMillis - now
      if (millisLeft <= 0) return yield* unusable("down", error, "run the same command again to go on")
      // Some faults at a time may be chance: that nobody is answered is told once it has lasted.
      yield* pause(Math.min(millis, millisLeft), because, now - lane.faultsSince >= 2_000)
    })

  const isAtStart = (error: AiError.AiError): boolean => {
    if (hasBegun || isPatientAtStart) return false
    if (!Tally.isUnreachable(error) && error.reason._tag !== "InvalidResponseError") {
      hasBegun = true
      return false
    }
    silentAttempts += 1
    return silentAttempts >= failuresAtStart
  }

  /** What to do after an attempt that failed: nothing more, or try again at once. */
  const after = (
    lane: Lane,
    request: BatchRequest,
    error: AiError.AiError,
    rejections: number
  ): Effect.Effect<typeof again, AiError.AiError | Left> =>
    Effect.gen(function* () {
      if (Tally.isStopped(error)) return yield* error
      if (Failure.isOfOneOfSeveral(error)) return again
      const { blame, retryAfter } = Verdict.of(error)
      const decided = Failure.decided(error)?._tag
      if (decided === "CircuitOpen" || decided === "NoProvider" || decided === "QueueFull") {
        const reason = Failure.decided(error)
        const millis = reason?._tag === "CircuitOpen" ? reason.retryAfterMillis : 0
        const jitter = yield* Random.nextBetween(50, 1_000)
        yield* outlast(lane, lastFault.get(lane) ?? error, millis + jitter, "the server does not answer")
        return again
      }
      if (blame === "unusable") return yield* refusedForAll(lane, error)
      if (blame === "busy") {
        const asked = retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
        if (asked > patienceMillis) {
          return yield* unusable("asks to wait", error, `it asks for ${Duration.format(Duration.millis(asked))}`)
        }
        lane.faultsSince = undefined
        hasBegun = true
        // The lane's rate limit keeps the wait that was asked for, and finds the pace where none was.
        const own = rejections < 5 ? 0 : (yield* Random.next) * Math.min(5_000, 100 * 2 ** (rejections - 5))
        if (Rejections.isSingle(error)) {
          yield* Effect.sleep(asked + (yield* Random.nextBetween(50, 500)))
          return again
        }
        if (asked > 0) yield* onWaitOnce(asked)
        yield* Effect.sleep(own)
        return again
      }
      if (blame === "none") {
        // A certificate that is not accepted, for one: nobody was asked, and nobody can be.
        const isUnasked =
          error.reason._tag === "UnknownError" && error.reason.http === undefined && decided === undefined
        if (isUnasked && !hasBegun) return yield* unusable("unreachable", error, wrongUrl)
        well(lane)
        return yield* error
      }
      lastFault.set(lane, error)
      lane.faultsSince ??= yield* Monotonic.millis
      if (isAtStart(error)) {
        return yield* unusable(Tally.isUnreachable(error) ? "unreachable" : "no answers", error, wrongUrl)
      }
      if (lane.faulting.size < faultsOfServer) lane.faulting.add(request.line)
      if (!Tally.isUnreachable(error) && lane.faulting.size < faultsOfServer) return yield* error
      const draw = yield* Random.next
      // At the start it is soon known whether anybody is there.
      const own = hasBegun || isPatientAtStart ? 1_000 + draw * 4_000 : 100 + draw * 400
      const millis = Math.max(retryAfter === undefined ? 0 : Duration.toMillis(retryAfter), own)
      yield* outlast(lane, error, millis, "the server does not answer")
      return again
    })

  const onWaitOnce = (millis: number) =>
    Effect.flatMap(Monotonic.millis, (now) => {
      if (millis < 2_000 || now + millis <= waitsUntil + 2_000) return Effect.void
      waitsUntil = now + millis
      return onWait(millis, "the server asks for it")
    })

  const refusedForAll = (lane: Lane, error: AiError.AiError): Effect.Effect<never, Left> =>
    Effect.suspend(() => {
      const { reason } = error
      if (reason._tag === "QuotaExhaustedError") return unusable("quota exhausted", error)
      if (reason._tag === "AuthenticationError" && reason.kind !== "InsufficientPermissions") {
        return unusable("key refused", error, options.keyAdvice)
      }
      lane.closed = error
      const others = [...lanes.all()].some(({ answers, closed }) => closed === undefined && answers > 0)
      if (others) return Effect.fail(left)
      return unusable(reason._tag === "AuthenticationError" ? "key refused" : "model unknown", error)
    })

  const once = (lane: Lane, request: BatchRequest): Effect.Effect<Sending.Answer, AiError.AiError | Left> => {
    const attempt = (rejections: number): Effect.Effect<Sending.Answer, AiError.AiError | Left> =>
      Effect.suspend(() => {
        if (lane.closed !== undefined || options.isStopping()) return Effect.fail(left)
        return Effect.catch(Sending.send(lane.provider, request, headersOf(request)), (error) =>
          Effect.andThen(after(lane, request, error, rejections), attempt(rejections + 1))
        )
      })
    return Effect.tap(attempt(0), () =>
      Effect.sync(() => {
        lane.answers += 1
        well(lane)
      })
    )
  }

  const persistently = Retry.effect<AiError.AiError | Left>({
    times: retries,
    base: defaults.base,
    cap: defaults.cap,
    maxRetryAfter: patienceMillis,
    classify: (error) =>
      error === left ? { blame: "none" } : { ...Verdict.of(error), retryable: Verdict.of(error).blame === "fault" }
  })
  const lastFault = new WeakMap<Lane, AiError.AiError>()

  return {
    /** The answer of a request, or why it has none. */
    send: (request: BatchRequest): Effect.Effect<Sending.Answer, AiError.AiError | Left> =>
      Effect.flatMap(lanes.of(request.model), (lane) => persistently(once(lane, request)))
  }
}

const wrongUrl = "check --base-url, or give --patience to wait for a server that is not up yet"

/** Says of a run that is over that it left the requests of a model which is not there. */
export const leftBehind = ({ closed, model }: Lane, baseUrl: string, requests: number): BatchError =>
  new BatchError({
    reason: new ProviderUnusable({
      kind: "model unknown",
      baseUrl,
      problem: closed === undefined ? model : ResultLine.messageOf(closed),
      advice: `${Summary.counted(requests, "request")} ${requests === 1 ? "is" : "are"} left for another run`
    })
  })
