/**
 * Keeps what happened to one call: each attempt, and each decision of a policy, as typed data.
 *
 * The model opens a trail for every call. Policies add to it with {@link record}; who made the call reads it from the
 * answer or the error with {@link ofParts} and {@link ofError}.
 */
import { Clock, Context, Effect, Option, Schema } from "effect"
import type { Response } from "effect/ai"
import { Attempt } from "./call/Attempt.ts"
import { Decision } from "./call/Decision.ts"

export const CallTrail = Schema.Struct({
  /** In the order in which they ended. */
  attempts: Schema.Array(Attempt),
  /** In the order in which they were made. */
  decisions: Schema.Array(Schema.Struct({ atMillis: Schema.Finite, decision: Decision })),
  /** Attempts and decisions beyond {@link longest}, which were counted and not kept. */
  leftOut: Schema.Int
})
export type CallTrail = typeof CallTrail.Type

/** Attempts, and decisions, that one trail keeps. */
export const longest = 64

/** Collects the trail of one call. */
export class Recorder {
  private readonly attempts: Array<Attempt> = []
  private readonly decisions: Array<CallTrail["decisions"][number]> = []
  private leftOut = 0

  attempt(attempt: Attempt): void {
    if (this.attempts.length < longest) this.attempts.push(attempt)
    else this.leftOut++
  }

  decide(atMillis: number, decision: Decision): void {
    if (this.decisions.length < longest) this.decisions.push({ atMillis, decision })
    else this.leftOut++
  }

  /** What has been collected so far. */
  get trail(): CallTrail {
    return { attempts: [...this.attempts], decisions: [...this.decisions], leftOut: this.leftOut }
  }
}

/** The trail of the call the present fiber works for. */
export const Current = Context.Reference<Recorder | undefined>("holdfast/core/CallTrail", {
  defaultValue: () => undefined
})

/** Adds a decision to the trail of the present call; does nothing outside of a model's call. */
export const record = (decision: Decision): Effect.Effect<void> =>
  Effect.flatMap(Current, (recorder) =>
    recorder === undefined ? Effect.void : Effect.map(Clock.currentTimeMillis, (now) => recorder.decide(now, decision))
  )

const decode = Schema.decodeUnknownOption(Schema.Struct({ holdfast: Schema.Struct({ trail: CallTrail }) }))

/** Reads the trail from the parts of an answer, as in `response.content`; `None` when no model of ours gave it. */
export const ofParts = (
  parts: Iterable<Response.AnyPart | Response.PartEncoded | Response.StreamPartEncoded>
): Option.Option<CallTrail> => {
  for (const part of parts) {
    if (part.type === "finish") return Option.map(decode(part.metadata), ({ holdfast }) => holdfast.trail)
  }
  return Option.none()
}

// Not every reason of an AiError has room for metadata, so the trails of failed calls stay beside their errors.
const trails = new WeakMap<object, CallTrail>()

/** Reads the trail of the call that failed with this error, in the process in which it failed. */
export const ofError = (error: object): Option.Option<CallTrail> => Option.fromUndefinedOr(trails.get(error))

/** Leaves the trail of a failed call with its error. */
export const leaveWith = (error: object, trail: CallTrail): void => void trails.set(error, trail)
