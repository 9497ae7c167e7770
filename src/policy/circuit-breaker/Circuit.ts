/**
 * Follows one circuit: who may pass, what became of them, and what that does to the circuit.
 */
import { Cause, type Clock, Duration, Effect, Exit, Random } from "effect"
import type { CircuitBreaker } from "effect/persistence"
import * as CallTrail from "../../core/CallTrail.ts"
import * as Failure from "../../core/Failure.ts"
import * as OutcomeWindow from "../../core/window/OutcomeWindow.ts"
import type * as PolicyReason from "../../core/call/PolicyReason.ts"
import type { Readiness } from "../../core/call/ModelProvider.ts"
import type { Admission, Keeper, Outcome, Restore } from "../CircuitKeeper.ts"

/** The options, decided and in milliseconds. */
export interface Settings {
  readonly ratio: number
  readonly minCalls: number
  readonly consecutive: number
  readonly windowMillis: number
  readonly openMillis: number
  readonly maxOpenMillis: number
}

/** What a failure says about who was asked. */
export interface Verdict {
  /** `fault` counts, `unusable` opens the circuit at once, `busy` and `none` say nothing. */
  readonly blame: Failure.Blame
  /** The wait the other side asked for: the circuit is not open for less. */
  readonly retryAfter?: Duration.Duration | undefined
}

/** What a circuit says to those it does not let pass. */
export type CircuitOpen = Extract<PolicyReason.PolicyReason, { _tag: "CircuitOpen" }>

/** The share of its time by which an opening is shortened at random, so that processes do not probe together. */
const jitter = 0.2

/**
 * Says for how many milliseconds a failure opens the circuit; `undefined` when it stays closed.
 *
 * `tally` contains the failure. `openings` counts those before this one without a lasting recovery between them, and
 * `draw` is a random number from 0 to 1. A probe that fails opens the circuit again in any case.
 */
export const openingMillis = (
  settings: Settings,
  verdict: Verdict,
  tally: OutcomeWindow.Tally,
  probe: boolean,
  openings: number,
  draw: number
): number | undefined => {
  if (verdict.blame !== "fault" && verdict.blame !== "unusable") return undefined
  if (verdict.blame === "fault" && !probe && !trips(settings, tally)) return undefined
  const shortened = 1 - jitter * draw
  const backOff = Math.min(settings.maxOpenMillis, settings.openMillis * 2 ** openings) * shortened
  if (verdict.retryAfter === undefined) {
    return Math.ceil(verdict.blame === "unusable" ? settings.maxOpenMillis * shortened : backOff)
  }
  const said = Math.min(Failure.longestWaitMillis, Duration.toMillis(verdict.retryAfter))
  return Math.ceil(Math.max(backOff, said + draw * jitter * settings.openMillis))
}

const trips = (settings: Settings, { faults, faultsInARow, successes }: OutcomeWindow.Tally): boolean =>
  faultsInARow >= settings.consecutive ||
  (faults + successes >= settings.minCalls && faults >= settings.ratio * (faults + successes))

/** One call that was let through. */
export class Pass {
  private judged = false
  readonly circuit: Circuit
  readonly admission: Admission
  readonly clock: Clock.Clock

  constructor(circuit: Circuit, admission: Admission, clock: Clock.Clock) {
    this.circuit = circuit
    this.admission = admission
    this.clock = clock
  }

  /** Whether others wait for what becomes of this call. */
  get isProbe(): boolean {
    return this.admission.probe && !this.judged
  }

  /** Whether something is held until the call has been judged. */
  get holds(): boolean {
    return this.admission.probe || this.admission.lease !== undefined
  }

  /** Judges the call by how it ended. Costs nothing further, and gives `undefined`, when it changes nothing. */
  ended<E>(exit: Exit.Exit<unknown, E>, verdictOf: (error: E) => Verdict): Effect.Effect<void> | undefined {
    return Exit.isSuccess(exit) ? this.succeeded() : this.failed(exit.cause, verdictOf)
  }

  /** Judges the call as well served. */
  succeeded(): Effect.Effect<void> | undefined {
    if (this.judged) return undefined
    this.judged = true
    return this.circuit.success(this)
  }

  /** Judges the call by why it failed. Interruption and bugs say nothing about who was asked. */
  failed<E>(cause: Cause.Cause<E>, verdictOf: (error: E) => Verdict): Effect.Effect<void> | undefined {
    const error = Cause.findErrorOption(cause)
    if (error._tag === "None") return this.abandoned()
    const verdict = verdictOf(error.value)
    if (this.judged) {
      // A probe's stream that breaks off after its first content.
      if (this.admission.probe && verdict.blame === "fault") this.circuit.window.fault(this.now)
      return undefined
    }
    this.judged = true
    return verdict.blame === "fault" || verdict.blame === "unusable"
      ? this.circuit.failure(this, verdict)
      : this.circuit.ignore(this)
  }

  /** Lets the next one probe, when this one did. */
  abandoned(): Effect.Effect<void> | undefined {
    if (this.judged) return undefined
    this.judged = true
    return this.circuit.ignore(this)
  }

  get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }
}

export class Circuit {
  readonly key: string
  readonly window: OutcomeWindow.OutcomeWindow
  private readonly keeper: Keeper
  private readonly settings: Settings
  // As far as this process knows.
  private state: "closed" | "open" | "halfOpen" = "closed"
  private openUntil = 0
  // Whether a call of this process probes.
  private probing = false
  // Which closed phase, or probe, the window counts: outcomes of calls let through earlier say nothing about it.
  private generation: number | undefined

  constructor(key: string, keeper: Keeper, settings: Settings) {
    this.key = key
    this.keeper = keeper
    this.settings = settings
    this.window = new OutcomeWindow.OutcomeWindow(settings.windowMillis)
  }

  /** Lets a call pass, or fails at once with how long to wait. */
  enter(clock: Clock.Clock, restore: Restore): Effect.Effect<Pass, CircuitOpen> {
    const now = clock.currentTimeMillisUnsafe()
    if (this.state === "open" && now < this.openUntil) return Effect.fail(this.refusal(this.openUntil - now))
    return Effect.matchEffect(this.keeper.admit(restore), {
      onFailure: (rejection) => this.rejected(rejection, clock),
      onSuccess: (admission) => this.admitted(new Pass(this, admission, clock))
    })
  }

  /** What calls would meet now, as far as this process knows. */
  stateAt(now: number): "closed" | "open" | "halfOpen" {
    return this.state === "open" && now >= this.openUntil ? "halfOpen" : this.state
  }

  /** What a further call would meet. */
  readinessAt(now: number): Readiness {
    if (this.state === "closed") return "ready"
    return this.probing || this.stateAt(now) === "open" ? "circuitOpen" : "circuitHalfOpen"
  }

  /** Milliseconds until a call is let through, while open. */
  retryAfterMillis(now: number): number | undefined {
    return this.stateAt(now) === "open" ? this.openUntil - now : undefined
  }

  success(pass: Pass): Effect.Effect<void> | undefined {
    if (pass.admission.generation === this.generation) this.window.success(pass.now)
    return pass.admission.probe ? this.record(pass, "Success", 0) : this.keeper.release(pass.admission)
  }

  failure(pass: Pass, verdict: Verdict): Effect.Effect<void> | undefined {
    if (pass.admission.generation !== this.generation) return this.ignore(pass)
    if (verdict.blame === "fault") this.window.fault(pass.now)
    return Effect.flatMap(Random.next, (draw) => {
      const tally = this.window.tally(pass.now)
      const { consecutiveOpenings, probe } = pass.admission
      const millis = openingMillis(this.settings, verdict, tally, probe, consecutiveOpenings, draw)
      return millis === undefined
        ? (this.keeper.release(pass.admission) ?? Effect.void)
        : this.record(pass, "Failure", millis)
    })
  }

  ignore(pass: Pass): Effect.Effect<void> | undefined {
    return pass.admission.probe ? this.record(pass, "Ignored", 0) : this.keeper.release(pass.admission)
  }

  private admitted(pass: Pass): Effect.Effect<Pass> {
    const { generation, probe } = pass.admission
    if (generation !== this.generation) {
      this.generation = generation
      this.window.clear()
    }
    if (!probe) {
      this.state = "closed"
      return Effect.succeed(pass)
    }
    this.state = "halfOpen"
    this.probing = true
    return Effect.as(CallTrail.record({ _tag: "CircuitProbed", key: this.key }), pass)
  }

  private rejected({ reason }: CircuitBreaker.CircuitBreakerError, clock: Clock.Clock) {
    if (reason._tag !== "CircuitOpen") {
      this.state = "halfOpen"
      // Nobody knows when the probe will have ended.
      return Effect.fail(this.refusal(0))
    }
    const millis = Duration.toMillis(reason.retryAfter)
    this.state = "open"
    this.openUntil = clock.currentTimeMillisUnsafe() + millis
    return Effect.fail(this.refusal(millis))
  }

  private record(pass: Pass, outcome: Outcome, openMillis: number): Effect.Effect<void> {
    if (pass.admission.probe) this.probing = false
    return Effect.flatMap(this.keeper.record(pass.admission, outcome, Duration.millis(openMillis)), (transition) =>
      Effect.andThen(this.keeper.release(pass.admission) ?? Effect.void, this.moved(transition, pass))
    )
  }

  private moved(transition: CircuitBreaker.Transition | undefined, pass: Pass): Effect.Effect<void> {
    switch (transition?.to) {
      case "Open": {
        const forMillis = Duration.toMillis(transition.retryAfter)
        this.state = "open"
        this.openUntil = pass.now + forMillis
        this.generation = undefined
        return CallTrail.record({ _tag: "CircuitOpened", key: this.key, forMillis })
      }
      case "Closed":
        this.state = "closed"
        return CallTrail.record({ _tag: "CircuitClosed", key: this.key })
      default:
        return Effect.void
    }
  }

  private refusal(millis: number): CircuitOpen {
    return { _tag: "CircuitOpen", key: this.key, retryAfterMillis: Math.ceil(millis) }
  }
}
