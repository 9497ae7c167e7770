/**
 * Names what one call carries in fiber context, and says what a new call begins with and what a background call drops.
 *
 * | member | says | a call begins with |
 * |---|---|---|
 * | `CallTrail.Current` | what happened to it | a trail of its own |
 * | `AttemptAllowance.Current` | which attempts it may still make | an allowance of its own |
 * | `Refusals.Current` | what providers told it | nothing told |
 * | `Deadline.Current` | when it must have ended | the caller's |
 * | `Patience.Current` | for how long the provider it is at may make it wait | the caller's |
 * | `Attempt.CurrentOrigin` | why the present attempt is made | the caller's |
 * | `ResponseHeaders.Listener` | who hears its response headers | the caller's |
 * | `Caller.Current` | for whom it is made | the caller's |
 * | `WireBytes.Current` | the bytes of its request, and that those of its answer are wanted | the caller's |
 *
 * A new member is added here. {@link detached} drops what belongs to one call, and keeps for whom it is and its bytes;
 * {@link forSeveral} drops what belongs to one of the callers who share a call.
 */
import { Context, Effect, Stream } from "effect"
import type { IdGenerator } from "effect/ai"
import { Allowance, Current as CurrentAllowance } from "./AttemptAllowance.ts"
import * as Attempt from "./Attempt.ts"
import * as CallTrail from "./CallTrail.ts"
import * as Deadline from "./Deadline.ts"
import * as OpenStream from "../stream/OpenStream.ts"
import * as Patience from "./Patience.ts"
import * as Refusals from "./Refusals.ts"
import * as ResponseHeaders from "./ResponseHeaders.ts"
import type { ModelProvider } from "./ModelProvider.ts"

/** Runs an effect as a new call. Without a trail, it adds to the one around it, if any. */
export const fresh =
  (trail?: CallTrail.Recorder, allowance = new Allowance()) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.updateContext(self, (outer: Context.Context<R>) => begun(outer, allowance, trail))

// One by one: to merge contexts copies all that is in them.
const begun = <R>(outer: Context.Context<R>, allowance: Allowance, trail?: CallTrail.Recorder): Context.Context<R> => {
  const own = Context.add(Context.add(outer, CurrentAllowance, allowance), Refusals.Current, new Refusals.Refusals())
  return trail === undefined ? own : Context.add(own, CallTrail.Current, trail)
}

/**
 * Runs a call in the background of another: it has its own time, attempts and trail, and nobody hears its headers.
 *
 * For whom it is made stays, and the bytes of its request, and the budget that all calls share for further attempts.
 */
export const detached =
  (origin: Attempt.Origin) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(CurrentAllowance, (outer) =>
      Effect.provideContext(self, begun(Context.add(ofNoCall, Attempt.CurrentOrigin, origin), Allowance.beside(outer)))
    )

/** What a call carries that is made for several others at once: no deadline, for each of them leaves at its own. */
export const forSeveral = (hear: (headers: ResponseHeaders.Headers) => void): Context.Context<never> =>
  Context.make(Deadline.Current, undefined).pipe(Context.add(ResponseHeaders.Listener, hear))

const ofNoCall = Context.make(CallTrail.Current, undefined).pipe(
  Context.add(Deadline.Current, undefined),
  Context.add(Patience.Current, undefined),
  Context.add(ResponseHeaders.Listener, undefined)
)

/**
 * Makes sure that calls of `next` have an allowance, with what `policy` may add to it.
 *
 * For policies that make further attempts: wrap what you return with it, and ask `AttemptAllowance.take` before each one.
 */
export const contributing = (next: ModelProvider, policy: object, extra: number): ModelProvider =>
  withAllowance(next, (allowance) => allowance.contribute(policy, extra))

/** As {@link contributing}, for any effect. */
export const contributingEffect =
  (policy: object, extra: number) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.updateService(self, CurrentAllowance, (outer) => {
      const allowance = outer ?? new Allowance()
      allowance.contribute(policy, extra)
      return allowance
    })

/** Changes the allowance of each call of `next`. A call that comes without one begins here: see {@link fresh}. */
export const withAllowance = (next: ModelProvider, change: (allowance: Allowance) => void): ModelProvider => ({
  ...next,
  generateText: (request) =>
    Effect.flatMap(CurrentAllowance, (outer) => {
      const allowance = outer ?? new Allowance()
      change(allowance)
      const answer = next.generateText(request)
      return outer === undefined ? fresh(undefined, allowance)(answer) : answer
    }),
  streamText: (request) =>
    OpenStream.unwrap(
      Effect.map(CurrentAllowance, (outer) => {
        const allowance = outer ?? new Allowance()
        change(allowance)
        const parts = next.streamText(request)
        return outer === undefined
          ? Stream.updateContext(parts, (around: Context.Context<IdGenerator.IdGenerator>) => begun(around, allowance))
          : parts
      })
    )
})
