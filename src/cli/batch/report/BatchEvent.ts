/**
 * Names what happens in a batch run, as data: what `--json` prints, one event a line.
 */
import type { Summary } from "./Summary.ts"
import type { Snapshot } from "./ProgressBar.ts"

/** The output was read: so many requests have their answer already. */
export interface RunStarted {
  readonly event: "RunStarted"
  readonly answeredBefore: number
  /** Bytes of an unfinished line, left by a crash, that were cut from the output. */
  readonly cutBytes: number
}

/** A request has its answer, and the answer is in the output. */
export interface RequestAnswered {
  readonly event: "RequestAnswered"
  readonly customId: string
  readonly attempts: number
  readonly inputTokens: number
  readonly outputTokens: number
  /** What it cost, where prices were given. */
  readonly cost?: number | undefined
}

/** Nothing goes for so long, and why: the server does not answer, or asks for it. */
export interface RunWaiting {
  readonly event: "RunWaiting"
  readonly millis: number
  readonly because: string
}

/** A request ended without an answer, and is in the errors file. */
export interface RequestFailed {
  readonly event: "RequestFailed"
  readonly customId: string | null
  readonly line: number
  readonly attempts: number
  readonly code: string
  readonly message: string
}

/** An attempt failed; the request may be sent again. */
export interface AttemptFailed {
  readonly event: "AttemptFailed"
  readonly fault: string
}

/** The run ends early, as it was asked to or has to: nothing more is sent, and so many requests in flight may finish. */
export interface RunStopping {
  readonly event: "RunStopping"
  readonly inFlight: number
}

/** How far the run is. */
export interface RunProgressed extends Snapshot {
  readonly event: "RunProgressed"
}

/** The run is over. */
export interface RunEnded extends Summary {
  readonly event: "RunEnded"
}

export type BatchEvent =
  | RunStarted
  | RequestAnswered
  | RequestFailed
  | AttemptFailed
  | RunWaiting
  | RunStopping
  | RunProgressed
  | RunEnded
