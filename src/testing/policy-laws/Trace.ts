/**
 * Says what was seen while a program ran against a stack of policies: each call as its caller saw it, and each attempt as
 * the model did.
 */
import type { AiError, Response } from "effect/ai"
import type * as Attempt from "../../core/call/Attempt.ts"
import type { CallTrail } from "../../core/call/CallTrail.ts"
import type { PolicyHealth } from "../../core/call/PolicyHealth.ts"
import type { Entry } from "../faults/Script.ts"
import type { Call, Program } from "./Program.ts"
import type { Asked } from "./Requests.ts"

export type Part = Response.PartEncoded | Response.StreamPartEncoded

/** One request that a policy, or the caller, made of a model. */
export interface AttemptSeen {
  /** In the order in which they began. Times are in milliseconds since the run began, whatever the wall clock says. */
  readonly number: number
  /** The call it was made for; of several that share it, the one that was first. */
  readonly call: number
  /** Whether it was made behind that call, which has its answer already: its trail does not know of it. */
  readonly isBehind: boolean
  /** The model's index. */
  readonly model: number
  readonly method: Call["method"]
  readonly origin: Attempt.Origin
  /** What was asked. */
  readonly asked: Asked
  /** The deadline it was given. */
  readonly deadline: number | undefined
  /** What the policies on the way here said they allow, besides the first attempt. */
  readonly granted: number
  readonly startMillis: number
  /** What it brought, in the chunks in which it came. */
  readonly chunks: ReadonlyArray<ReadonlyArray<Part>>
  /** The longest time for which somebody waited for content. */
  readonly longestSilence: number
  /**
   * How long somebody had waited since the first content of a stream when more came, or when it ended, and how many
   * characters had come before.
   */
  readonly flow: ReadonlyArray<{ readonly millis: number; readonly characters: number }>
  /** How the model saw it. */
  readonly ended: Entry<unknown>["ended"]
  readonly endMillis: number
  readonly error: AiError.AiError | undefined
}

/**
 * How a call ended; `left`: its reader had enough; `never`: not until it was interrupted for taking for ever; `cut`: nor this,
 * but others went on, and the run was over.
 */
export type Ending = "succeeded" | "failed" | "interrupted" | "left" | "died" | "never" | "cut"

export interface CallSeen {
  readonly number: number
  readonly plan: Call
  /** What its caller asked. */
  readonly asked: Asked
  /** What calls have in common that may share an answer. */
  readonly key: string
  readonly startMillis: number
  readonly endMillis: number
  readonly ended: Ending
  /** What it failed with. */
  readonly error: unknown
  readonly parts: ReadonlyArray<Part>
  readonly decisions: CallTrail["decisions"]
  /** Attempts nobody was there for any more when it had ended, but for those that are made behind a call. */
  readonly orphans: ReadonlyArray<number>
  /** Fibers that were started for it and still ran then. */
  readonly fibers: number
}

/** All that was seen in one run. */
export interface Trace {
  readonly program: Program
  readonly calls: ReadonlyArray<CallSeen>
  readonly attempts: ReadonlyArray<AttemptSeen>
  /** What was asked of models and not sent: they had told the call not to, or its caller had left. */
  readonly unsent: ReadonlyArray<AttemptSeen>
  /** Long after the last call: what was left, and how the policies were. */
  readonly settled: Left & { readonly health: ReadonlyArray<PolicyHealth> }
  /** Calls made then, of models without a fault. */
  readonly probes: ReadonlyArray<CallSeen>
  /** After the stack's scope was closed. */
  readonly closed: Left
  /** How the run itself ended: `success`, `Deadlock`, `Endless`. */
  readonly ending: string
  /** True when time could pass although something was ready, as on a busy machine. */
  readonly isLate: boolean
  readonly steps: number
  readonly order: number
}

/** Fibers, timers and attempts that were there. */
export interface Left {
  readonly fibers: number
  readonly sleepers: number
  readonly attempts: number
}
