/**
 * Follows one circuit: who may pass, what became of them, and what that does to the circuit.
 */
import { Cause, type Clock, Duration, Effect, Exit, Random } from "effect"
import * as Monotonic from "../../core/Monotonic.ts"
import * as CallTrail from "../../core/call/CallTrail.ts"
import * as Failure from "../../core/call/Failure.ts"
import * as OutcomeWindow from "../../core/window/OutcomeWindow.ts"
import type * as PolicyReason from "../../core/call/PolicyReason.ts"
import type { Verdict } from "../../core/call/Verdict.ts"
import type { Restore } from "../../core/Restore.ts"
import type { Readiness } from "../../core/call/ModelProvider.ts"
import { type Admission, type CircuitStore, longestProbeMillis, type Outcome } from "./CircuitStore.ts"
import type * as StoredCircuit from "./StoredCircuit.ts"

/** The options, decided and in milliseconds. */
export interface Settings {
  readonly ratio: number
  readonly minCalls: number
  readonly consecutive: number
  readonly windowMillis: number
  readonly openMillis: number
  readonly maxOpenMillis: number
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
  verdict: Pick<Verdict, "blame" | "retryAfter">,
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
export class Permit {
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
  release<E>(exit: Exit.Exit<unknown, E>, verdictOf: (error: E) => Verdict): Effect.Effect<void> | undefined {
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
    return Monotonic.millisUnsafe(this.clock)
  }
}

export class Circuit {
  readonly key: string
  readonly window: OutcomeWindow.OutcomeWindow
  private readonly store: CircuitStore
  private readonly settings: Settings
  private readonly isOfSeveral: boolean
  // As far as this process knows.
  private state: "closed" | "open" | "halfOpen" = "closed"
  private openUntil = -Infinity
  // The call of this process that probes.
  private probe: { readonly permit: Permit; readonly since: number } | undefined
  // Which closed phase, or probe, the window counts: outcomes of calls let through earlier say nothing about it.
  private generation: number | undefined

  /** `isOfSeveral`: keys share it, so that what only one of them may have done, such as a wrong API key, does not open it. */
  constructor(key: string, store: CircuitStore, settings: Settings, isOfSeveral = false) {
    this.key = key
    this.isOfSeveral = isOfSeveral
    this.store = store
    this.settings = settings
    this.window = new OutcomeWindow.OutcomeWindow(settings.windowMillis)
  }

  /** Lets a call permit, or fails at once with how long to wait. */
  acquire(clock: Clock.Clock, restore: Restore): Effect.Effect<Permit, CircuitOpen> {
    const now = Monotonic.millisUnsafe(clock)
    if (this.state === "open" && now < this.openUntil) return Effect.fail(this.refusal(this.openUntil - now))
    return Effect.matchEffect(this.store.admit(restore), {
      onFailure: (rejection) => this.rejected(rejection, clock, restore),
      onSuccess: (admission) => this.admitted(new Permit(this, admission, clock))
    })
  }

  /** What calls would meet now, as far as this process knows. */
  stateAt(now: number): "closed" | "open" | "halfOpen" {
    return this.state === "open" && now >= this.openUntil ? "halfOpen" : this.state
  }

  /** Whether it is as if nothing had happened: it saw no fault lately, and was not open for longer than it may be at most. */
  isClearAt(now: number): boolean {
    return now >= this.openUntil + this.settings.maxOpenMillis && this.window.tally(now).faults === 0
  }

  /** What a further call would meet. */
  readinessAt(now: number): Readiness {
    if (this.state === "closed") return "ready"
    const isProbed = this.probe !== undefined && now - this.probe.since <= longestProbeMillis
    return isProbed || this.stateAt(now) === "open" ? "circuitOpen" : "circuitHalfOpen"
  }

  /** Milliseconds until a call is let through, while open. */
  retryAfterMillis(now: number): number | undefined {
    return this.stateAt(now) === "open" ? Math.ceil(this.openUntil - now) : undefined
  }

  success(permit: Permit): Effect.Effect<void> | undefined {
    if (permit.admission.generation === this.generation) this.window.success(permit.now)
    return permit.admission.probe ? this.record(permit, "Success", 0) : this.store.release(permit.admission)
  }

  failure(permit: Permit, verdict: Verdict): Effect.Effect<void> | undefined {
    if (permit.admission.generation !== this.generation) return this.ignore(permit)
    if (this.isOfSeveral && verdict.blame === "unusable") return this.ignore(permit)
    if (verdict.blame === "fault") this.window.fault(permit.now)
    return Effect.flatMap(Random.next, (draw) => {
      const tally = this.window.tally(permit.now)
      const { consecutiveOpenings, probe } = permit.admission
      const millis = openingMillis(this.settings, verdict, tally, probe, consecutiveOpenings, draw)
      return millis === undefined
        ? (this.store.release(permit.admission) ?? Effect.void)
        : this.record(permit, "Failure", millis)
    })
  }

  ignore(permit: Permit): Effect.Effect<void> | undefined {
    return permit.admission.probe ? this.record(permit, "Ignored", 0) : this.store.release(permit.admission)
  }

  private admitted(permit: Permit): Effect.Effect<Permit> {
    const { generation, probe } = permit.admission
    if (generation !== this.generation) {
      this.generation = generation
      this.window.clear()
    }
    if (!probe) {
      this.state = "closed"
      return Effect.succeed(permit)
    }
    this.state = "halfOpen"
    this.probe = { permit, since: permit.now }
    return Effect.as(CallTrail.record({ _tag: "CircuitProbed", key: this.key }), permit)
  }

  private rejected(
    reason: StoredCircuit.Rejection,
    clock: Clock.Clock,
    restore: Restore
  ): Effect.Effect<Permit, CircuitOpen> {
    if (reason._tag !== "CircuitOpen") {
      // A call that has no time limit, or whose reader does not read on, would keep everybody out.
      const { probe } = this
      if (probe !== undefined && Monotonic.millisUnsafe(clock) - probe.since > longestProbeMillis) {
        this.probe = undefined
        return Effect.andThen(probe.permit.abandoned() ?? Effect.void, this.acquire(clock, restore))
      }
      this.state = "halfOpen"
      // Nobody knows when the probe will have ended.
      return Effect.fail(this.refusal(0))
    }
    const millis = Duration.toMillis(reason.retryAfter)
    this.state = "open"
    this.openUntil = Monotonic.millisUnsafe(clock) + millis
    return Effect.fail(this.refusal(millis))
  }

  private record(permit: Permit, outcome: Outcome, openMillis: number): Effect.Effect<void> {
    if (this.probe?.permit === permit) this.probe = undefined
    return Effect.flatMap(this.store.record(permit.admission, outcome, Duration.millis(openMillis)), (transition) =>
      Effect.andThen(this.store.release(permit.admission) ?? Effect.void, this.moved(transition, permit))
    )
  }

  private moved(transition: StoredCircuit.Move | undefined, permit: Permit): Effect.Effect<void> {
    switch (transition?.to) {
      case "Open": {
        const forMillis = Duration.toMillis(transition.retryAfter)
        this.state = "open"
        this.openUntil = permit.now + forMillis
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
