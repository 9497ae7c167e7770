/**
 * Counts what became of the rounds of a periodic job.
 */
export interface Rounds {
  started: number
  failed: number
  /** Not started, because the round before had not ended. */
  skipped: number
  /** How many of the latest rounds failed one after the other. */
  failedInARow: number
}
