/**
 * Reads how far a job says it is.
 */
import type { Progress } from "../../core/JobEvent.ts"
import * as SafeText from "../../core/SafeText.ts"

/** How far a job is, as it reports it: a fraction from 0 to 1, or so many done of a total. */
export type ReportedProgress = { readonly fraction: number } | { readonly done: number; readonly total: number }

/** At most so many characters of a message are kept. */
const maxMessage = 1_000

/** How far a job is, made of what it hands over; none when that makes no sense: when anything is no finite number of 0 or more. */
export const read = (reported: ReportedProgress, message: string | undefined): Progress | undefined => {
  if (message !== undefined && typeof message !== "string") return undefined
  const fraction = fractionOf(reported)
  return fraction === undefined ? undefined : { fraction, message: message && SafeText.cut(message, maxMessage) }
}

const fractionOf = (reported: ReportedProgress): number | undefined => {
  try {
    // Each is read once: a getter may say something else the next time.
    if ("fraction" in reported) {
      const { fraction } = reported
      return isAmount(fraction) ? Math.min(1, fraction) : undefined
    }
    const { done, total } = reported
    if (!isAmount(done) || !isAmount(total)) return undefined
    return total === 0 ? 1 : Math.min(1, done / total)
  } catch {
    return undefined
  }
}

const isAmount = (value: unknown): boolean => typeof value === "number" && Number.isFinite(value) && value >= 0
