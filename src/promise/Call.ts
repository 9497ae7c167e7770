/**
 * What a call of a model is given, and what it gives: plain data, promises and async functions.
 */
import type { CallTrail } from "../core/call/CallTrail.ts"
import type { Priority } from "../core/queue/Priority.ts"
import type { Usage } from "../core/call/Usage.ts"

/** A time: milliseconds, or a text such as `"30 seconds"`, `"1 minute"`, `"2 hours"`. */
export type Time =
  | number
  | `${number} ${"millis" | "second" | "seconds" | "minute" | "minutes" | "hour" | "hours" | "day" | "days"}`

/** A piece of a message. `data` of a file is base64, bytes or an address. */
export type MessagePart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "file"; readonly mediaType: string; readonly data: string | Uint8Array | URL }

/** What an answer called, and with what. */
export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly params: unknown
  /** What the tool gave, or the message of what it threw; absent when it did not run. */
  readonly result?: unknown
  /** Whether it threw. */
  readonly isFailure?: boolean
}

/** One turn of a conversation. `tool` messages come from {@link Answer.messages}. */
export type Message =
  | { readonly role: "system"; readonly content: string }
  | { readonly role: "user"; readonly content: string | ReadonlyArray<MessagePart> }
  | { readonly role: "assistant"; readonly content: string | ReadonlyArray<unknown> }
  | { readonly role: "tool"; readonly content: ReadonlyArray<unknown> }

/** A question: a text, or a conversation. */
export type Prompt = string | ReadonlyArray<Message>

/** A piece of an answer as it arrives, and one of an answer that is complete: then texts are whole. */
export type Part =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  | { readonly type: "tool-call"; readonly id: string; readonly name: string; readonly params: unknown }
  | {
      readonly type: "tool-result"
      readonly id: string
      readonly name: string
      readonly result: unknown
      readonly isFailure: boolean
    }
  | { readonly type: "file"; readonly mediaType: string; readonly data: Uint8Array }
  | { readonly type: "source"; readonly id: string; readonly title: string; readonly url?: string }

export type FinishReason = "stop" | "length" | "content-filter" | "tool-calls" | "error" | "pause" | "other" | "unknown"

/** A complete answer. */
export interface Answer {
  /** What the model said, after its last tool call. */
  readonly text: string
  /** Everything it said, in order. */
  readonly parts: ReadonlyArray<Part>
  /** The tokens of this answer. Those of attempts that failed are in `trail.usage`. */
  readonly usage: Usage
  /** Who answered: absent what the provider did not say. */
  readonly response: { readonly id?: string; readonly model?: string }
  /** Each request that was sent, and each decision about it. Empty for a model that has none. */
  readonly trail: CallTrail
  readonly toolCalls: ReadonlyArray<ToolCall>
  readonly finishReason: FinishReason
  /** What it cost, where the client has a budget with prices (`pipeline.spend`). */
  readonly cost?: number
  /** What to add to the conversation before its next turn: the answer, and its tool calls with their results. */
  readonly messages: ReadonlyArray<Message>
}

/** A complete answer as the value that was asked for. */
export interface ObjectAnswer<A> extends Answer {
  readonly object: A
}

/**
 * An answer as it arrives. It is asked for when somebody first reads it, in whichever way, and several may read.
 *
 * Leaving the loop closes the connection, when nobody else reads: `break`, `return`, an error thrown in it, `await using`. Reading
 * rejects with a `HoldfastError`, and as the platform does when the call's signal aborts.
 */
export interface TextStream extends AsyncIterable<string>, AsyncDisposable {
  /** Texts, reasoning, tool calls and their results, in the order in which they arrive. */
  readonly parts: AsyncIterable<Part>
  /** The complete answer. Asking for it reads the stream to its end, with or without other readers. */
  readonly response: Promise<Answer>
  /** The tokens of the complete answer: as `response`. */
  readonly usage: Promise<Usage>
}

/** What a schema library has to offer: https://standardschema.dev. zod's schemas do; `toStandardJsonSchema` makes valibot's do. */
export interface Schema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1
    readonly vendor: string
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
    readonly validate: (value: unknown) => Checked<Output> | Promise<Checked<Output>>
    readonly jsonSchema: {
      readonly input: (options: { readonly target: "draft-2020-12" }) => Readonly<Record<string, unknown>>
    }
  }
}

/** What a schema says of a value. */
export type Checked<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: ReadonlyArray<{ readonly message: string; readonly path?: ReadonlyArray<unknown> | undefined }> }

/** The value that a schema gives. */
export type Output<S> = S extends { readonly "~standard": { readonly types?: infer Types } }
  ? NonNullable<Types> extends { readonly output: infer A }
    ? A
    : unknown
  : unknown

/** A function that the model may call. */
export interface Tool<Input extends Schema = Schema> {
  /** What it does, for the model. Default: nothing is said. */
  readonly description?: string | undefined
  readonly input: Input
  /**
   * Does it. What it throws is told to the model by its message, as is an input that the schema refuses. The signal aborts with
   * the call.
   */
  readonly run: (input: Output<Input>, tools: { readonly signal: AbortSignal }) => unknown
}

/** Tools by their names. */
export type Tools<Inputs extends Readonly<Record<string, Schema>>> = {
  readonly [Name in keyof Inputs]: Tool<Inputs[Name]>
}

/** What {@link Hooks.onFinish} is told. */
export interface Finished {
  readonly model: string
  readonly usage: Usage
  readonly cost: number | undefined
  readonly finishReason: FinishReason
  readonly durationMillis: number
  readonly tenant: string | undefined
  readonly trail: CallTrail
}

/** What {@link Hooks.onRetry} is told, when the next attempt begins. */
export interface Retried {
  readonly provider: string
  readonly model: string
  /** The number of the attempt that begins: 2 for the first retry. */
  readonly attempt: number
  /** What the attempt before it failed with; absent when it was given up. */
  readonly error: string | undefined
}

/** What {@link Hooks.onFallback} is told, when the next provider is asked. */
export interface FellBack extends Retried {
  /** The model that failed, as `provider/model`. */
  readonly from: string | undefined
}

/** Functions that hear of calls. What they throw is logged, and changes nothing. */
export interface Hooks {
  /** Hears of each answer that is complete. */
  readonly onFinish?: ((finished: Finished) => void) | undefined
  /** Hears of each retry. */
  readonly onRetry?: ((retried: Retried) => void) | undefined
  /** Hears when the next model in line is asked. */
  readonly onFallback?: ((fellBack: FellBack) => void) | undefined
}

/** How one call is made. Its hooks come after those of the client. */
export interface CallOptions extends Hooks {
  /** Which of the client's `models`. Default: the only one, or the first. */
  readonly model?: string | undefined
  /** Ends the call when it aborts: its connection is closed, and then the call rejects as the platform does. */
  readonly signal?: AbortSignal | undefined
  /** How long it may take, everything together. Default: the client's `timeout`. */
  readonly timeout?: Time | undefined
  /** Whom it is for: limits, budgets and caches are kept apart by it. Default: nobody in particular. */
  readonly tenant?: string | undefined
  /** How urgent it is, where calls wait: a level or a number, of which the higher goes first. Default `normal`. */
  readonly priority?: Priority | undefined
  /**
   * Gives a call with the same key, tenant, model and kind that is under way, or has succeeded within the last hour, in place of
   * another: nothing is sent then. The latest 1,000 are kept. Default: none.
   */
  readonly idempotencyKey?: string | undefined
  /** What the model is told before the prompt. Default: nothing. */
  readonly system?: string | undefined
  /** Most tokens to generate. Default: the model's. */
  readonly maxOutputTokens?: number | undefined
  /** How freely to choose words; 0 is the most predictable. Default: the model's. */
  readonly temperature?: number | undefined
}

/** How a call is made that may use tools. */
export interface ToolOptions<Inputs extends Readonly<Record<string, Schema>>> extends CallOptions {
  /** What the model may call. Default: nothing. */
  readonly tools?: Tools<Inputs> | undefined
  /** How often the model may be asked again with what its tools gave. Default 8. */
  readonly maxSteps?: number | undefined
}

export type { Usage } from "../core/call/Usage.ts"
export type { CallTrail } from "../core/call/CallTrail.ts"
export type { Priority } from "../core/queue/Priority.ts"
