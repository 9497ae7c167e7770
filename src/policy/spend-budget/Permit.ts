/**
 * Holds what one attempt is expected to spend while it is in flight, and books what it spent when it has ended.
 */
import { Cause, Exit, Option } from "effect"
import type { AiError, Response } from "effect/ai"
import * as Content from "../../core/stream/Content.ts"
import { type AnswerLength, charactersOfAnswer, charactersPerToken } from "../../core/call/TokenEstimate.ts"
import * as Failure from "../../core/call/Failure.ts"
import * as Usage from "../../core/call/Usage.ts"
import type { Account, Amount, Charge, Ledger, Price } from "./Ledger.ts"
import * as NeverSent from "./NeverSent.ts"

/** What is known of an attempt before it is sent. */
export interface Attempted {
  /** Whose it is. */
  readonly key: string
  readonly price: Price
  /** The tokens of its prompt, as estimated. */
  readonly inputTokens: number
  /** The most tokens that its answer may have, where somebody said so. */
  readonly maxOutputTokens: number
}

/** One attempt, from its begin until it is booked. */
export class Permit {
  private usage: Usage.Usage | undefined
  private isReleased = false
  private characters = 0
  /** Characters of tool calls' parameters that came in pieces; the whole calls often bring the same again. */
  private pieces = 0
  private readonly toolCalls: Array<Response.ToolCallPartEncoded> = []
  private readonly ledger: Ledger
  private readonly account: Account
  private readonly attempted: Attempted
  private readonly answers: AnswerLength
  private readonly expected: Amount

  constructor(ledger: Ledger, attempted: Attempted, answers: AnswerLength, now: number) {
    this.ledger = ledger
    this.attempted = attempted
    this.answers = answers
    this.expected = this.cost(this.withAnswerOf(answers.tokens))
    this.account = ledger.begin(attempted.key, now, this.expected)
  }

  see(parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>): void {
    for (const part of parts) {
      if (part.type === "finish") this.usage = Usage.fromParts([part])
      else if (part.type === "tool-params-delta") this.pieces += part.delta.length
      else if ("delta" in part && Content.isContent(part)) this.characters += part.delta.length
      else if (part.type === "tool-call") this.toolCalls.push(part)
      else this.characters += charactersOfAnswer(part)
    }
  }

  /** Whether the answer has come to its end. */
  get isFinished(): boolean {
    return this.usage !== undefined
  }

  /** Books, once, what was used, or is likely to have been; nothing for what was refused or never sent. */
  release(exit: Exit.Exit<unknown, unknown>, now: number): Charge | undefined {
    if (this.isReleased) return undefined
    this.isReleased = true
    const error = errorOf(exit)
    const work = error && Failure.workBefore(error)
    const used = this.usage ?? work?.usage
    const isReported = used !== undefined && used.inputTokens + used.outputTokens > 0
    if (isReported && this.isFinished) this.answers.observe(used.outputTokens)
    const usage = isReported ? used : this.likely(error !== undefined && work === undefined && wasRefused(error))
    const booked = usage === undefined ? undefined : { ...this.cost(usage), estimated: !isReported }
    this.ledger.end(this.account, now, this.expected, booked)
    return booked
  }

  /** The prompt and what had arrived; nothing if nobody worked on it, and nothing had. */
  private likely(wasRefused: boolean): Usage.Usage | undefined {
    const whole = this.toolCalls.reduce((sum, part) => sum + charactersOfAnswer(part), 0)
    const characters = this.characters + Math.max(this.pieces, whole)
    if (characters === 0 && wasRefused) return undefined
    return this.withAnswerOf(Math.ceil(characters / charactersPerToken))
  }

  /** The prompt, and an answer of so many tokens, as far as it may be so long. */
  private withAnswerOf(tokens: number): Usage.Usage {
    const { inputTokens, maxOutputTokens } = this.attempted
    return { ...Usage.empty, inputTokens, outputTokens: Math.min(tokens, maxOutputTokens) }
  }

  private cost(usage: Usage.Usage): Amount {
    const { price } = this.attempted
    const { cachedInput = price.input, input, output } = price
    // A provider may tell how many it read from its cache, and not how many there were.
    const fresh = Math.max(0, usage.inputTokens - usage.cachedInputTokens)
    return {
      tokens: usage.inputTokens + usage.outputTokens,
      money: (fresh * input + usage.cachedInputTokens * cachedInput + usage.outputTokens * output) / 1_000_000
    }
  }
}

const errorOf = (exit: Exit.Exit<unknown, unknown>): AiError.AiError | undefined =>
  Exit.isSuccess(exit)
    ? undefined
    : // Providers fail with nothing else.
      (Option.getOrUndefined(Cause.findErrorOption(exit.cause)) as AiError.AiError | undefined)

/**
 * Whether nobody worked on the request: the provider said no before, or it was never sent. What timed out or was lost may
 * have been worked on.
 */
const wasRefused = (error: AiError.AiError): boolean => {
  switch (error.reason._tag) {
    case "NetworkError":
      return NeverSent.is(error.reason)
    case "InvalidResponseError":
    case "InvalidOutputError":
      return false
    default:
      return Failure.decided(error)?._tag !== "TimedOut"
  }
}
