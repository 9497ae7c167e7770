/**
 * Counts what happens during one batch run: plain numbers, changed in place by the run and read by whoever shows them.
 */
import type { Supervisor } from "../../../supervisor/index.ts"

export interface Counts {
  /** Requests in the input; `undefined` until it is known, and for standard input until its end. */
  total: number | undefined
  /** How many requests this run may send; `undefined` for all. */
  limit: number | undefined
  /** Requests and bad lines that this run has taken from the input; what it skips is not among them. */
  read: number
  /** Requests that have their answer from this run. */
  answered: number
  /** Requests whose answer was in the output before this run. */
  skipped: number
  /** Requests that ended without an answer, by the tag of the reason. */
  readonly failed: Map<string, number>
  /** Requests sent, retries included. */
  sent: number
  /** Requests sent again after a failed attempt. */
  retried: number
  /** Requests on their way right now. */
  inFlight: number
  /** Failed attempts of requests that were answered in the end, by what happened. */
  readonly survived: Map<string, number>
  inputTokens: number
  outputTokens: number
  /** What the answers cost, in the currency of the prices; `undefined` without prices. */
  cost: number | undefined
  /** A model of this run that the prices do not have; `undefined` while there is none, and without prices. */
  unpriced: string | undefined
  /** Requests that were read and left for another run. */
  left: number
  /** How the run's supervisor is; `undefined` until it is made. */
  health: Supervisor.Health | undefined
}

export const make = (): Counts => ({
  total: undefined,
  limit: undefined,
  read: 0,
  answered: 0,
  skipped: 0,
  failed: new Map(),
  sent: 0,
  retried: 0,
  inFlight: 0,
  survived: new Map(),
  inputTokens: 0,
  outputTokens: 0,
  cost: undefined,
  unpriced: undefined,
  left: 0,
  health: undefined
})

/** Counts one more of a kind. */
export const increment = (kinds: Map<string, number>, kind: string): void => {
  kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
}

/** Adds up all kinds. */
export const sum = (kinds: ReadonlyMap<string, number>): number => {
  let total = 0
  for (const count of kinds.values()) total += count
  return total
}
