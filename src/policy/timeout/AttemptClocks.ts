/**
 * Watches the clocks of one attempt's stream: until the headers, the first content, the next content, the end, and its speed.
 */
import { Effect } from "effect"
import * as CallTrail from "../../core/call/CallTrail.ts"
import * as Content from "../../core/stream/Content.ts"
import * as PolicyReason from "../../core/call/PolicyReason.ts"
import type * as StreamClock from "./StreamClock.ts"

/** The names of the limits of one attempt. */
export const names = ["headers", "firstToken", "idle", "attempt", "tokensPerSecond"] as const

/** The limits in milliseconds, `Infinity` where there is none. */
export type Settings = Readonly<Record<(typeof names)[number], number>>

type ClockName = (typeof PolicyReason.TimedOut.Type)["clock"]

/** Says that a clock has run out: as data, and as the end of a call, on its trail too. */
export const failures = (clock: ClockName, afterMillis: number) => {
  const reason = { _tag: "TimedOut", clock, afterMillis } as const
  return {
    expired: () => reason,
    orElse: () => Effect.andThen(CallTrail.record(reason), Effect.fail(PolicyReason.toAiError("Timeout", reason)))
  }
}

const charactersPerToken = 4

/** How long a stream's content flows before its speed is judged. */
const judgedAfterMillis = 5_000

/** What the clocks of one attempt read. */
export class AttemptClocks implements StreamClock.Clocks {
  private readonly settings: Settings
  private startedAt = 0
  private hasHeaders = false
  private hasContent = false
  // Time spent waiting for the provider, since the last content and since the first.
  private waitedMillis = 0
  private flowMillis = 0
  private characters = 0
  // The clock that ends first, and when.
  private nearest: (typeof names)[number] = "attempt"
  private nearestAt = Infinity

  constructor(settings: Settings) {
    this.settings = settings
  }

  start(now: number): this {
    this.startedAt = now
    return this
  }

  headersArrived(): void {
    this.hasHeaders = true
  }

  expired(pulledAt: number | undefined, now: number) {
    this.until(pulledAt)
    const clock = this.nearest
    if (clock !== "tokensPerSecond") return failures(clock, this.settings[clock]).expired()
    const seconds = (this.flowMillis + now - (pulledAt ?? now)) / 1000
    return {
      _tag: "TooSlow",
      tokensPerSecond: this.characters / charactersPerToken / seconds,
      atLeast: this.settings.tokensPerSecond
    } as const
  }

  readonly arrived = (parts: StreamClock.Parts, pulledAt: number, now: number): void => {
    this.hasHeaders = true
    this.waitedMillis += now - pulledAt
    if (this.hasContent) this.flowMillis += now - pulledAt
    for (const part of parts) {
      if (!Content.isContent(part)) continue
      this.hasContent = true
      this.waitedMillis = 0
      if ("delta" in part) this.characters += part.delta.length
    }
  }

  // Asked for each part, so it makes nothing.
  until(pulledAt: number | undefined): number {
    const { attempt, firstToken, headers, idle, tokensPerSecond } = this.settings
    this.nearest = "attempt"
    this.nearestAt = this.startedAt + attempt
    if (pulledAt === undefined) return this.nearestAt
    if (!this.hasHeaders) this.consider("headers", this.startedAt + headers)
    if (!this.hasContent) this.consider("firstToken", pulledAt + firstToken - this.waitedMillis)
    else {
      this.consider("idle", pulledAt + idle - this.waitedMillis)
      if (tokensPerSecond > 0) {
        const enoughFor = (this.characters / charactersPerToken / tokensPerSecond) * 1000
        this.consider("tokensPerSecond", pulledAt + Math.max(judgedAfterMillis, enoughFor) - this.flowMillis)
      }
    }
    return this.nearestAt
  }

  private consider(clock: (typeof names)[number], at: number): void {
    if (at >= this.nearestAt) return
    this.nearest = clock
    this.nearestAt = at
  }
}
