/**
 * Keeps what happened to one call: each attempt, and each decision of a policy, as typed data.
 *
 * The model opens a trail for every call. Policies add to it with {@link record}; who made the call reads it from the
 * answer or the error with {@link ofParts} and {@link ofError}.
 */
import { Clock, Context, Effect, Option, Schema } from "effect"
import type { Response } from "effect/ai"
import * as Attempt from "./Attempt.ts"
import { Decision } from "./Decision.ts"
import * as Usage from "./Usage.ts"

export const CallTrail = Schema.Struct({
  /** In the order in which they ended. */
  attempts: Schema.Array(Attempt.Attempt),
  /** In the order in which they were made. */
  decisions: Schema.Array(
    Schema.Struct({
      atMillis: Schema.Finite,
      /**
       * The number of the attempt it concerns, where one is concerned: the one it followed or ended; of a wait, of a choice and
       * of a second attempt that was started, the one they led to, once that has begun. Of attempts that compete each policy
       * means those behind itself.
       */
      attempt: Schema.optionalKey(Schema.Int),
      decision: Decision
    })
  ),
  /** Attempts that had not ended when the trail was read; absent when there were none. */
  inFlight: Schema.optionalKey(Schema.Array(Attempt.InFlight)),
  /** The tokens of all attempts together; absent when no provider said how many. */
  usage: Schema.optionalKey(Usage.Usage),
  /** What `SpendBudget` booked for all attempts, at its prices; absent where there is none. */
  cost: Schema.optionalKey(
    Schema.Struct({
      money: Schema.Finite,
      /** Whether a part of it is estimated, for an attempt ended before it said what it used. */
      estimated: Schema.Boolean
    })
  ),
  /** Attempts and decisions beyond {@link longest}, which were counted and not kept. */
  leftOut: Schema.Int
})
export type CallTrail = typeof CallTrail.Type

/** Attempts, and decisions, that one trail keeps. */
export const longest = 64

type DecisionEntry = CallTrail["decisions"][number]
type Open<A> = { -readonly [K in keyof A]: A[K] }

/** What is known of an attempt when it ends. */
export type Ended = Pick<Attempt.Attempt, "durationMillis" | "outcome" | "usage">

/** What is written down of one call. */
class Book {
  readonly attempts: Array<Attempt.Attempt> = []
  readonly inFlight = new Map<number, Open<Attempt.InFlight>>()
  readonly decisions: Array<Open<DecisionEntry>> = []
  leftOut = 0
  begun = 0
  usage: Usage.Usage | undefined = undefined
  cost: CallTrail["cost"] = undefined
}

/** Collects the trail of one call. */
export class Recorder {
  private readonly book: Book
  // The one this is a branch of.
  private readonly outer: Recorder | undefined
  // A few at most; those of all its branches too.
  private readonly inFlight: Array<number> = []
  // Decisions that lead to the next attempt.
  private readonly leading: Array<Open<DecisionEntry>> = []
  private lastEnded: number | undefined = undefined
  private interruptedAtMillis: number | undefined = undefined
  // Of several in flight, the one that brought its first content last.
  private lastHeard: number | undefined = undefined
  // The branch whose attempt was taken, the others being given up.
  private winner: Recorder | undefined = undefined

  constructor(outer?: Recorder) {
    this.outer = outer
    this.book = outer?.book ?? new Book()
  }

  /**
   * Makes a recorder for one of several attempts that compete. It writes into the same trail, and knows which attempts are
   * its own when it says whom a decision concerns.
   */
  branch(): Recorder {
    this.winner = undefined
    return new Recorder(this)
  }

  /** Whether this writes into the same trail as another recorder. */
  isOf(other: Recorder): boolean {
    return this.book === other.book
  }

  /** Takes down that an attempt begins, and gives its number. */
  begin(attempt: Omit<Attempt.InFlight, "number">): number {
    const number = ++this.book.begun
    this.book.inFlight.set(number, { number, ...attempt })
    this.outwards((recorder) => {
      recorder.inFlight.push(number)
      for (const decision of recorder.leading) decision.attempt = number
      recorder.leading.length = 0
    })
    return number
  }

  /** Takes down that the first content of an attempt has come. */
  content(number: number, firstContentMillis: number): void {
    const attempt = this.book.inFlight.get(number)
    if (attempt === undefined) return
    attempt.firstContentMillis = firstContentMillis
    this.outwards((recorder) => {
      recorder.lastHeard = number
    })
  }

  /** Takes down how an attempt ended, and at which date. */
  end(number: number, ended: Ended, atMillis: number): void {
    const { book } = this
    const attempt = book.inFlight.get(number)
    if (attempt === undefined) return
    book.inFlight.delete(number)
    let isGivenUp = false
    this.outwards((recorder) => {
      recorder.inFlight.splice(recorder.inFlight.indexOf(number), 1)
      if (!isGivenUp) recorder.hear(number, ended, atMillis)
      const winner = recorder.outer?.winner
      isGivenUp ||= winner !== undefined && winner !== recorder
    })
    if (ended.usage !== undefined) book.usage = Usage.add(book.usage ?? Usage.empty, ended.usage)
    if (book.attempts.length < longest) book.attempts.push({ ...attempt, ...ended })
    else book.leftOut++
  }

  decide(atMillis: number, decision: Decision): void {
    const { book } = this
    if (decision._tag === "SpendRecorded") {
      const { estimated = false, money = 0 } = book.cost ?? {}
      book.cost = { money: money + decision.money, estimated: estimated || decision.estimated }
    }
    const attempt = this.concerned(decision, atMillis)
    if (decision._tag === "AttemptWon") this.win(attempt)
    if (book.decisions.length >= longest) {
      book.leftOut++
      return
    }
    const booked: Open<DecisionEntry> = { atMillis, ...(attempt !== undefined && { attempt }), decision }
    book.decisions.push(booked)
    if (leads(decision)) this.leading.push(booked)
  }

  /** Tells of each attempt that has ended and of each decision, without copying them. */
  forEach(attempt: (attempt: Attempt.Attempt) => void, decided: (entry: DecisionEntry) => void): void {
    this.book.attempts.forEach(attempt)
    this.book.decisions.forEach(decided)
  }

  /** What has been collected so far. */
  get trail(): CallTrail {
    const { attempts, cost, decisions, inFlight, leftOut, usage } = this.book
    return {
      attempts: [...attempts],
      decisions: decisions.map((decision) => ({ ...decision })),
      ...(inFlight.size > 0 && { inFlight: Array.from(inFlight.values(), (attempt) => ({ ...attempt })) }),
      ...(usage && { usage }),
      ...(cost && { cost }),
      leftOut
    }
  }

  private hear(number: number, { outcome }: Ended, atMillis: number): void {
    this.lastEnded = number
    if (outcome._tag === "Succeeded") this.lastHeard = number
    if (outcome._tag === "Interrupted") this.interruptedAtMillis = atMillis
  }

  // Those that lost may have ended later than the one that won, or end only now.
  private win(attempt: number | undefined): void {
    if (attempt === undefined || this.outer === undefined) return
    this.outer.winner = this
    this.outer.lastHeard = attempt
    if (!this.inFlight.includes(attempt)) this.outer.lastEnded = attempt
    this.outer.interruptedAtMillis = undefined
  }

  private outwards(act: (recorder: Recorder) => void): void {
    act(this)
    this.outer?.outwards(act)
  }

  // A policy decides in the turn in which the attempt came back to it.
  private concerned(decision: Decision, atMillis: number): number | undefined {
    switch (decision._tag) {
      case "RetryScheduled":
      case "RetryRefused":
      case "RepairRequested":
      case "RepairRefused":
      case "CircuitOpened":
      case "CircuitClosed":
      case "FellBack":
      case "Degraded":
      case "SpendRecorded":
        return this.lastEnded
      case "AttemptWon":
        return this.lastHeard ?? this.lastEnded
      case "TimedOut":
      case "TooSlow":
        if (decision._tag === "TimedOut" && decision.clock === "overall") return undefined
        // It was interrupted for that, or is about to be.
        return this.interruptedAtMillis === atMillis || this.inFlight.length === 0
          ? this.lastEnded
          : Math.max(...this.inFlight)
      case "Custom":
        return decision.attempt === "last" ? this.lastEnded : undefined
      default:
        return undefined
    }
  }
}

/** Whether a decision is made before the attempt that it concerns. */
const leads = (decision: Decision): boolean =>
  decision._tag === "Custom" ? decision.attempt === "next" : leading.has(decision._tag)

const leading: ReadonlySet<Decision["_tag"]> = new Set(["Waited", "CircuitProbed", "HedgeStarted", "ProviderChosen"])

/** The trail of the call the present fiber works for. */
export const Current = Context.Reference<Recorder | undefined>("holdfast/core/CallTrail", {
  defaultValue: () => undefined
})

/** Adds a decision to the trail of the present call; does nothing outside of a model's call. */
export const record = (decision: Decision): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    fiber.getRef(Current)?.decide(fiber.getRef(Clock.Clock).currentTimeMillisUnsafe(), decision)
    return Effect.void
  })

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
