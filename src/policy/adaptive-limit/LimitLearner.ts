/**
 * Watches calls begin and end, gathers them into windows, and lets {@link Gradient} decide after each.
 *
 * A round is the time between two decisions, and only the calls that began in it count: others say what came of an
 * earlier limit. It lasts for `windowMillis` at least, and until twice as many calls have ended as fly together, so that
 * the fastest ones do not speak for all.
 */
import type { Blame } from "../../core/call/Verdict.ts"
import * as Gradient from "./Gradient.ts"

export interface Settings extends Gradient.Settings {
  readonly windowMillis: number
}

/** Calls that a round has at least. */
const fewest = 10

export class LimitLearner {
  private state: Gradient.State
  private readonly settings: Settings
  private round = 0
  private roundAt: number | undefined
  private shrunkIn = 0
  private pausedUntil = -Infinity
  private latencies: Record<Gradient.Kind, Array<number>> = { answer: [], firstContent: [] }
  private peak = 0
  private faults = 0

  constructor(settings: Settings, initial: number) {
    this.settings = settings
    this.state = Gradient.initial(initial)
  }

  /** Calls at a time. */
  get limit(): number {
    return Math.floor(this.state.limit)
  }

  /** A call has begun, and so many are in flight with it. Gives its round. */
  started(inFlight: number, now: number): number {
    this.roundAt ??= now
    if (inFlight > this.peak) this.peak = inFlight
    return this.round
  }

  /** A call of a round has succeeded, or a stream has brought its first content. */
  answered(kind: Gradient.Kind, round: number, millis: number, now: number): void {
    if (round !== this.round) return
    this.latencies[kind].push(Math.max(0, millis))
    this.look(now)
  }

  /** A call of a round has failed. For `retryAfterMillis` from now the limit does not grow. */
  failed(blame: Blame, round: number, now: number, retryAfterMillis = 0): void {
    if (blame !== "busy" && blame !== "fault") return
    this.pausedUntil = Math.max(this.pausedUntil, now + retryAfterMillis)
    if (blame === "busy") {
      if (round < this.shrunkIn) return
      this.decide(Gradient.refused(this.settings, this.state), now)
    } else if (round === this.round) {
      this.faults++
      this.look(now)
    }
  }

  /** Decides, when enough has been seen. */
  private look(now: number): void {
    const { answer, firstContent } = this.latencies
    const ended = answer.length + firstContent.length + this.faults
    if (ended < Math.max(fewest, 2 * this.state.limit)) return
    if (now - (this.roundAt ?? now) < this.settings.windowMillis) return
    const kind = answer.length >= firstContent.length ? "answer" : "firstContent"
    const latencies = this.latencies[kind]
    this.decide(
      Gradient.next(this.settings, this.state, {
        peak: this.peak,
        latency: latencies.length === 0 ? undefined : { kind, millis: median(latencies) },
        faults: this.faults / ended,
        paused: now < this.pausedUntil
      }),
      now
    )
  }

  private decide(state: Gradient.State, now: number): void {
    this.round++
    this.roundAt = now
    if (state.calm === 0) this.shrunkIn = this.round
    this.state = state
    this.latencies = { answer: [], firstContent: [] }
    this.peak = 0
    this.faults = 0
  }
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
