/**
 * Follows one provider of a pool: how fast it is, whether it may be used, and when it may be used again.
 */
import { Duration } from "effect"
import type { AiError } from "effect/ai"
import * as Failure from "../../core/call/Failure.ts"
import * as OutcomeWindow from "../../core/window/OutcomeWindow.ts"
import * as Verdict from "../../core/call/Verdict.ts"
import type { ModelProvider } from "../../core/call/ModelProvider.ts"

/** The options, decided and in milliseconds. */
export interface Settings {
  readonly consecutive: number
  readonly margin: number
  readonly minCalls: number
  readonly windowMillis: number
  readonly ejectMillis: number
  readonly maxEjectMillis: number
  readonly maxEjected: number
  readonly decayMillis: number
  readonly failedChecks: number
}

/**
 * Averages latencies so that a slow one counts at once and is forgotten slowly: Finagle's Peak EWMA,
 * https://github.com/twitter/finagle/blob/develop/finagle-core/src/main/scala/com/twitter/finagle/loadbalancer/PeakEwma.scala
 */
export class PeakEwma {
  private average = 0
  /** When something was observed last. */
  at = -Infinity
  private readonly decayMillis: number

  constructor(decayMillis: number) {
    this.decayMillis = decayMillis
  }

  /** A latency was at least this long. */
  observe(millis: number, now: number): void {
    const past = Math.exp(-Math.max(0, now - this.at) / this.decayMillis)
    this.average = Math.max(millis, this.average * past + millis * (1 - past))
    this.at = Math.max(now, this.at)
  }

  /** The average now, which falls while nothing is observed; 0 when nothing ever was. */
  value(now: number): number {
    return this.average * Math.exp(-Math.max(0, now - this.at) / this.decayMillis)
  }

  /** The average as it was then. */
  get last(): number | undefined {
    return this.average === 0 ? undefined : this.average
  }
}

/** The two ways to call, whose latencies are not alike: until the whole answer, and until the first content. */
export type Way = "generate" | "stream"

/**
 * Whether a provider may be used: `usable`; `reluctant` when it asked for a pause, or is under trial with a call;
 * `ejected` for its faults; `refusing` when it refuses every call, for lack of quota or credentials.
 */
export type Standing = "usable" | "reluctant" | "ejected" | "refusing"

/** What is expected of a provider that was never measured and has something under way or failed. */
const unknownMillis = 60_000

/** The share of its time by which an ejection is shortened at random, so that processes do not return together. */
const jitter = 0.2

/**
 * Whether faults are so many that a provider stands out. `othersRatio` is the share of faults among the calls of all
 * others. Under trial, one is enough.
 */
export const isOutlier = (
  settings: Settings,
  tally: OutcomeWindow.Tally,
  othersRatio: number,
  onTrial: boolean
): boolean => {
  const calls = tally.successes + tally.faults
  return (
    onTrial ||
    tally.faultsInARow >= settings.consecutive ||
    (calls >= settings.minCalls && tally.faults / calls >= othersRatio + settings.margin)
  )
}

/** For how long to eject a provider that was ejected `ejections` times before. `draw` is random, from 0 to 1. */
export const ejectionMillis = (settings: Settings, ejections: number, draw: number): number =>
  Math.ceil(Math.min(settings.maxEjectMillis, settings.ejectMillis * 2 ** ejections) * (1 - jitter * draw))

/** What a further call is expected to cost: the lower, the better. */
export const cost = (latencyMillis: number, inFlight: number, weight: number, tally: OutcomeWindow.Tally): number => {
  const measured = latencyMillis > 0 || inFlight + tally.faults === 0
  return (
    ((measured ? latencyMillis : unknownMillis) * (inFlight + 1)) /
    (weight * Math.max(0.05, OutcomeWindow.successRatio(tally)))
  )
}

/**
 * Chooses the cheaper of two that are drawn at random: the power of two choices,
 * https://www.eecs.harvard.edu/~michaelm/postscripts/handbook2001.pdf . Gives an index; there must be at least one.
 */
export const cheaperOfTwo = (costs: ReadonlyArray<number>, firstDraw: number, secondDraw: number): number => {
  const first = Math.floor(firstDraw * costs.length)
  if (costs.length < 2) return first
  const other = Math.floor(secondDraw * (costs.length - 1))
  const second = other < first ? other : other + 1
  return (costs[first] ?? Infinity) <= (costs[second] ?? Infinity) ? first : second
}

export class PoolMember {
  readonly name: string
  readonly provider: ModelProvider
  readonly weight: number
  readonly window: OutcomeWindow.OutcomeWindow
  inFlight = 0
  /** Changes when it is taken out of use: what became of calls from before says nothing about it afterwards. */
  epoch = 0
  private readonly settings: Settings
  private readonly latencies: Record<Way, PeakEwma>
  private ejectedUntil = -Infinity
  private refusesUntil = -Infinity
  private restsUntil = -Infinity
  private lastEjectionMillis = 0
  private ejections = 0
  private failedChecks = 0
  private isUnwell = false
  private isOut = false
  private onTrial = false

  constructor(name: string, provider: ModelProvider, weight: number, settings: Settings) {
    this.name = name
    this.provider = provider
    this.weight = weight
    this.settings = settings
    this.window = new OutcomeWindow.OutcomeWindow(settings.windowMillis)
    this.latencies = { generate: new PeakEwma(settings.decayMillis), stream: new PeakEwma(settings.decayMillis) }
  }

  standing(now: number): Standing {
    if (now < this.refusesUntil) return "refusing"
    if (this.isUnwell || now < this.ejectedUntil) return "ejected"
    return now < this.restsUntil || (this.onTrial && this.inFlight > 0) ? "reluctant" : "usable"
  }

  /** Whether it may be used again since it was asked last. It is then under trial until its first success. */
  hasReturned(now: number): boolean {
    if (!this.isOut) return false
    const standing = this.standing(now)
    if (standing === "ejected" || standing === "refusing") return false
    this.isOut = false
    this.onTrial = true
    this.window.clear()
    return true
  }

  costOf(way: Way, now: number): number {
    return cost(this.latencies[way].value(now), this.inFlight, this.weight, this.window.tally(now))
  }

  /** The latency of the way it was called last, as observed then. */
  get latencyMillis(): number | undefined {
    const { generate, stream } = this.latencies
    return stream.at > generate.at ? stream.last : (generate.last ?? stream.last)
  }

  answered(way: Way, millis: number, now: number): void {
    this.latencies[way].observe(Math.max(1, millis), now)
  }

  /** It was given up after this time, so it is at least as slow. */
  keptWaiting(way: Way, millis: number, now: number): void {
    const latency = this.latencies[way]
    if (millis > latency.value(now)) latency.observe(Math.max(1, millis), now)
  }

  /** It failed after this time: that makes it seem slower, but one that fails soon is not fast. */
  failedAfter(way: Way, millis: number, now: number): void {
    if (this.latencies[way].last !== undefined) this.keptWaiting(way, millis, now)
  }

  succeeded(now: number): void {
    this.window.success(now)
    this.onTrial = false
  }

  /**
   * Takes in a failure, and says for how many milliseconds that takes it out of use, if it does. `mayEject`: so many of
   * the pool are in use that this one can be missed.
   */
  failed(
    error: AiError.AiError,
    now: number,
    draw: number,
    othersRatio: number,
    mayEject: boolean
  ): number | undefined {
    const said = Verdict.of(error).retryAfter
    const saidMillis = said === undefined ? undefined : Math.min(Failure.longestWaitMillis, Duration.toMillis(said))
    switch (Verdict.of(error).blame) {
      case "unusable": {
        const millis = saidMillis ?? Math.ceil(this.settings.maxEjectMillis * (1 - jitter * draw))
        this.refusesUntil = now + millis
        this.leave()
        return millis
      }
      case "fault": {
        this.window.fault(now)
        if (!mayEject || !isOutlier(this.settings, this.window.tally(now), othersRatio, this.onTrial)) return undefined
        // It counts as recovered when it stayed in use for as long as it was out of it.
        if (now - this.ejectedUntil >= this.lastEjectionMillis) this.ejections = 0
        const millis = Math.max(ejectionMillis(this.settings, this.ejections++, draw), saidMillis ?? 0)
        this.lastEjectionMillis = millis
        this.ejectedUntil = now + millis
        this.leave()
        return millis
      }
      case "busy":
        this.restsUntil = Math.max(this.restsUntil, now + (saidMillis ?? 0))
        return undefined
      case "none":
        return undefined
    }
  }

  /** Takes in a health check, and says whether it changed what the checks say. */
  checked(passed: boolean, now: number, mayEject: boolean): boolean {
    const was = this.isUnwell
    this.failedChecks = passed ? 0 : this.failedChecks + 1
    if (passed) {
      this.isUnwell = false
      this.ejectedUntil = Math.min(this.ejectedUntil, now)
    } else if (!was && mayEject && this.failedChecks >= this.settings.failedChecks) {
      this.isUnwell = true
      this.leave()
    }
    return was !== this.isUnwell
  }

  private leave(): void {
    this.epoch++
    this.isOut = true
    this.onTrial = false
  }
}
