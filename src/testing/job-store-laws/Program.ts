/**
 * What is done to a store, as plain data.
 */
import type { Metadata } from "../../core/JobEvent.ts"
import type { Filter, Outcome, Want } from "../../durable/JobStore.ts"

/** The options a store is opened with. All of them matter to the laws. */
export interface Settings {
  readonly lease: number
  readonly aging: number
  readonly maxLost: number
}

/** A job to submit. Which text its payload is, by its place in `texts`. */
export interface Submission {
  readonly name: string
  readonly key?: string | undefined
  readonly priority?: number | undefined
  /** Milliseconds until it is due. */
  readonly delay?: number | undefined
  readonly id?: string | undefined
  readonly idempotencyKey?: string | undefined
  readonly metadata?: Metadata | undefined
  readonly text: number
}

/** What a job says while it runs; the same places of texts. */
export interface Saying {
  readonly say: "Progress" | "Report" | "Step"
  readonly name: string
  readonly text: number
}

/** How a run ends: `text` is of results and errors, `delay` of retries. */
export interface Ending {
  readonly as: Outcome["_tag"]
  readonly text: number
  readonly delay: number
}

export type Command =
  | { readonly do: "submit"; readonly jobs: ReadonlyArray<Submission> }
  /** The same jobs from two callers at the same time. */
  | { readonly do: "submit twice"; readonly jobs: ReadonlyArray<Submission> }
  | { readonly do: "claim"; readonly want: Want }
  /** The same want of two workers at the same time. */
  | { readonly do: "claim twice"; readonly want: Want }
  | { readonly do: "renew"; readonly tokens: ReadonlyArray<number> }
  /** Tokens by how many claims ago they were given. */
  | { readonly do: "settle"; readonly ends: ReadonlyArray<Ending & { readonly token: number }> }
  | { readonly do: "record"; readonly token: number; readonly says: ReadonlyArray<Saying> }
  | { readonly do: "cancel"; readonly which: Which; readonly reason: string }
  | { readonly do: "requeue"; readonly which: Which }
  | { readonly do: "expire" }
  | {
      readonly do: "prune"
      readonly retention: { readonly age?: number; readonly count?: number; readonly characters?: number }
      readonly limit: number
    }
  | { readonly do: "look"; readonly which: Which; readonly limit: number }
  | { readonly do: "pass"; readonly millis: number }
  /** Sets the wall clock forward, or back. */
  | { readonly do: "set clock"; readonly millis: number }
  | { readonly do: "reopen" }
  | { readonly do: "crash" }
  /** The store is dropped while a submission is on its way. */
  | { readonly do: "crash during"; readonly jobs: ReadonlyArray<Submission> }

/** A filter; jobs by how many submissions ago they were made. */
export interface Which extends Omit<Filter, "ids"> {
  readonly ago?: ReadonlyArray<number> | undefined
}

export interface Program {
  readonly settings: Settings
  readonly commands: ReadonlyArray<Command>
}

/** JSON texts that are easily spoiled on the way. */
export const texts: ReadonlyArray<string> = [
  "{}",
  '"a"',
  '""',
  "null",
  '"\\u0000 \\ud800"',
  '"é 𝒳 \u2028"',
  "9007199254740993",
  '{"__proto__":{"constructor":1},"":[]}',
  `"${"x".repeat(3_000)}"`,
  "-0",
  '{"a":1,"a":2}',
  " [ 1 ] "
]
