/**
 * Tells whether a moment ever comes that a cron means: the 31st of February does not.
 */
import { Cron } from "effect"

export const come = (cron: Cron.Cron): boolean => {
  try {
    // No cron names a year: one that comes at all comes after any moment.
    Cron.next(cron, 0)
    return true
  } catch {
    return false
  }
}
