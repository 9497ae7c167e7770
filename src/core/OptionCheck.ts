/**
 * Rejects options that make no sense with a `RangeError` that names them, where what they are for is made.
 */
import { Duration } from "effect"

/** Between what a number must be. It is finite in any case. */
export interface Range {
  readonly above?: number
  readonly atLeast?: number
  readonly below?: number
  readonly atMost?: number
}

/** What a time may be besides a finite duration above 0. */
export interface Times {
  /** The least number of milliseconds, where 0 itself or more than anything above it is meant. */
  readonly atLeast?: number
  /** Whether it may be endless. */
  readonly endless?: boolean
}

/** Checks the options of one thing, each by its name, and gives them back. */
export interface OptionCheck {
  /** Says what an option must be, and throws. */
  readonly reject: (name: string, wanted: string, got: unknown) => never
  readonly whole: (name: string, value: number, atLeast: number, atMost?: number) => number
  readonly number: (name: string, value: number, range: Range) => number
  /** The milliseconds of a duration. */
  readonly millis: (name: string, input: Duration.Input, times?: Times) => number
}

/** `owner` is what the options are for, as users call it. */
export const of = (owner: string): OptionCheck => {
  const reject = (name: string, wanted: string, got: unknown): never => {
    throw new RangeError(`${owner} option ${name} must be ${wanted}, got ${String(got)}`)
  }
  return {
    reject,
    whole: (name, value, atLeast, atMost = Infinity) => {
      if (Number.isSafeInteger(value) && value >= atLeast && value <= atMost) return value
      const most = atMost === Infinity ? "" : ` and at most ${atMost}`
      return reject(name, `a whole number of at least ${atLeast}${most}`, value)
    },
    number: (name, value, { above = -Infinity, atLeast = -Infinity, atMost = Infinity, below = Infinity }) => {
      if (Number.isFinite(value) && value > above && value >= atLeast && value < below && value <= atMost) return value
      const bounds = Object.entries({ above, "of at least": atLeast, below, "of at most": atMost })
      const finite = bounds.filter(([, bound]) => Number.isFinite(bound))
      return reject(name, `a finite number ${finite.map((bound) => bound.join(" ")).join(" and ")}`, value)
    },
    millis: (name, input, { atLeast, endless = false } = {}) => {
      const millis = Duration.toMillis(input)
      if ((atLeast === undefined ? millis > 0 : millis >= atLeast) && (endless || millis < Infinity)) return millis
      const least = atLeast === undefined ? "above 0" : `of at least ${atLeast} ms`
      return reject(name, `a ${endless ? "" : "finite "}duration ${least}`, `${millis} ms`)
    }
  }
}
