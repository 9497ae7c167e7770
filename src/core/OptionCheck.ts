/**
 * Rejects options that make no sense with a `RangeError` that names them, where what they are for is made.
 */
import { ByteSize, Duration, Effect, Option } from "effect"
import * as GeneratorFunction from "./GeneratorFunction.ts"
import * as NearestName from "./NearestName.ts"
import * as SafeText from "./SafeText.ts"

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

/** The name of every option there is, so that one more cannot be forgotten here. */
export type Fields<Options> = { readonly [Name in keyof Required<Options>]: true }

/** Checks the options of one thing, each by its name, and gives them back. */
export interface OptionCheck {
  /**
   * Options have no name but those that are read: another one is a slip of the pen, which would change nothing in silence.
   * `within`: the option whose own options they are.
   */
  readonly fields: (given: object, known: Readonly<Record<string, true>>, within?: string) => void
  /** Says what an option must be and what was given, and throws. Of what may hold a secret it says the kind only. */
  readonly reject: (name: string, wanted: string, got: unknown) => never
  /** As {@link reject}, for what is said in words of our own. */
  readonly refuse: (name: string, wanted: string, got: string) => never
  readonly whole: (name: string, value: number, atLeast: number, atMost?: number) => number
  readonly number: (name: string, value: number, range: Range) => number
  /** The milliseconds of a duration. */
  readonly millis: (name: string, input: Duration.Input, times?: Times) => number
  /** The bytes of a size, or of the other one when none is given. */
  readonly bytes: (name: string, otherwise: ByteSize.Input, input: ByteSize.Input | undefined) => number
  readonly text: (name: string, value: string, longest?: number) => string
  /** A text that is not empty. */
  readonly label: (name: string, value: string, longest?: number) => string
  /** An object whose values are texts, numbers and booleans, of at most 10,000 characters together. */
  readonly facts: (name: string, value: Readonly<Record<string, string | number | boolean>>) => void
  readonly oneOf: <A extends string>(name: string, value: A, allowed: ReadonlyArray<A>) => A
  /** An object with values by name. */
  readonly record: (name: string, value: unknown) => void
  readonly list: (name: string, value: unknown) => void
  readonly texts: (name: string, value: ReadonlyArray<string>) => void
  readonly flag: (name: string, value: boolean) => boolean
  /** A function, which is called later, and no generator function: to call that runs nothing. */
  readonly callback: <F>(name: string, value: F) => F
  /** What such a function gave: an Effect, which is run, and not a promise or nothing, which cannot be. */
  readonly effect: <A, E, R>(name: string, given: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** How many characters an object of facts may have, names and texts together. */
const maxFacts = 10_000

/** `owner` is what the options are for, as users call it. */
export const of = (owner: string): OptionCheck => {
  const refuse = (name: string, wanted: string, got: string): never => {
    throw new RangeError(`${owner} option ${name} must be ${wanted}, got ${got}`)
  }
  const reject = (name: string, wanted: string, got: unknown): never =>
    refuse(name, wanted, isSecret(name) ? unshown(got) : quoted(got))
  const short = (name: string, value: string, longest = Infinity): string =>
    value.length <= longest ? value : refuse(name, `at most ${longest} characters long`, `${value.length}`)
  return {
    reject,
    refuse,
    fields: (given, known, within) => {
      const whose = within === undefined ? owner : `${owner} option ${within}`
      if (!isPlain(given) && !(isRecord(given) && Object.keys(known).some((name) => name in given))) {
        const got = typeof given === "string" || isSecret(within ?? "") ? unshown(given) : kindOf(given)
        throw new RangeError(`${whose}${within === undefined ? " options" : ""} must be an object, got ${got}`)
      }
      for (const name in given) {
        if (Object.hasOwn(known, name)) continue
        const names = Object.keys(known)
        const nearest = NearestName.of(name, names)
        const meant = nearest === undefined ? `it has ${names.join(", ")}` : `did you mean ${nearest}?`
        throw new RangeError(`${whose} has no option ${SafeText.of(name)}: ${meant}`)
      }
    },
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
      const millis = millisOf(input)
      if ((atLeast === undefined ? millis > 0 : millis >= atLeast) && (endless || millis < Infinity)) return millis
      const least = atLeast === undefined ? "above 0" : `of at least ${atLeast} ms`
      const wanted = `a ${endless ? "" : "finite "}duration ${least}`
      if (!Number.isNaN(millis)) return refuse(name, wanted, `${millis} ms`)
      const unit = foreignUnit(input)
      return unit === undefined
        ? reject(name, wanted, input)
        : refuse(name, `${wanted} in ${unitNames.join(", ")}`, `one in ${SafeText.of(unit)}`)
    },
    bytes: (name, otherwise, input = otherwise) =>
      Option.getOrElse(Option.map(ByteSize.fromInput(input), Number), () =>
        reject(name, 'a size such as "64 MiB"', input)
      ),
    text: (name, value, longest) =>
      typeof value === "string" ? short(name, value, longest) : reject(name, "a text", value),
    label: (name, value, longest) =>
      typeof value === "string" && value !== ""
        ? short(name, value, longest)
        : reject(name, "a text that is not empty", value),
    facts: (name, value) => {
      if (!isPlain(value)) refuse(name, "an object of facts", kindOf(value))
      let characters = 0
      for (const [fact, each] of Object.entries(value)) {
        characters += fact.length + (typeof each === "string" ? each.length : 0)
        if (typeof each === "string" || typeof each === "boolean") continue
        if (typeof each !== "number" || Number.isNaN(each))
          reject(`${name}.${SafeText.of(fact)}`, "a text, a number or a boolean", each)
      }
      if (characters > maxFacts) refuse(name, `at most ${maxFacts} characters together`, `${characters}`)
    },
    oneOf: (name, value, allowed) =>
      allowed.includes(value) ? value : reject(name, `one of ${allowed.join(", ")}`, value),
    record: (name, value) => {
      if (!isRecord(value)) refuse(name, "an object", isSecret(name) ? unshown(value) : kindOf(value))
    },
    list: (name, value) => {
      if (!Array.isArray(value)) reject(name, "a list", value)
    },
    texts: (name, value) => {
      if (!Array.isArray(value)) reject(name, "a list of texts", value)
      for (const each of value) if (typeof each !== "string") reject(name, "a list of texts", each)
    },
    flag: (name, value) => (typeof value === "boolean" ? value : reject(name, "true or false", value)),
    callback: (name, value) => {
      if (GeneratorFunction.is(value)) refuse(name, "a function", "a generator function, of which a call runs nothing")
      return typeof value === "function" ? value : reject(name, "a function", value)
    },
    effect: (name, given) => (Effect.isEffect(given) ? given : reject(name, "a function that gives an Effect", given))
  }
}

/** Whether it is a duration of whatever length. */
export const isDuration = (input: Duration.Input): boolean => !Number.isNaN(millisOf(input))

/**
 * Whether it is an object whose values all stand in itself. A list, a `Map`, a promise or what inherits has none of the names
 * that are looked for, and would be taken as if nothing had been said.
 */
export const isPlain = (value: unknown): value is object => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** An object of whatever class, but none that the language has for something else. */
const isRecord = (value: unknown): value is object =>
  typeof value === "object" && value !== null && nameOf(value) === "[object Object]"

const nameOf = (value: object): string => Object.prototype.toString.call(value)

const kindOf = (value: unknown): string =>
  typeof value !== "object" || value === null || Array.isArray(value) || isRecord(value) ? quoted(value) : nameOf(value)

// A text in quotes: "5" and 5 look the same without.
const quoted = (value: unknown): string => (typeof value === "string" ? `"${SafeText.of(value)}"` : SafeText.of(value))

/** Whether an option may hold a key or a password, by its name. */
const isSecret = (name: string): boolean => /(?:^|\.)(?:apiKey|baseUrl|headers|proxy|query|secrets)\b/.test(name)

/** What kind of value something is, and nothing of it. */
export const unshown = (value: unknown): string => {
  if (typeof value === "string") return "a text"
  if (Array.isArray(value)) return "a list"
  return typeof value === "object" && value !== null && isRecord(value) ? "an object" : kindOf(value)
}

/** The milliseconds of what is a duration; `NaN` for everything else, which is within no range. */
const millisOf = (input: Duration.Input): number => {
  if (typeof input === "number") return input
  // Effect takes a pair of numbers or an object of units, and reads any other object, and what is no number, as no time at all.
  if (typeof input === "object" && !Duration.isDuration(input)) {
    const parts = Object.entries(input ?? {}).filter(([, part]) => part !== undefined)
    const isTime = Array.isArray(input) ? input.length === 2 : foreignUnit(input) === undefined
    if (!isTime || parts.length === 0 || !parts.every(([, part]) => isAmount(part))) return Number.NaN
  }
  try {
    return Duration.toMillis(input)
  } catch {
    return Number.NaN
  }
}

const isAmount = (part: unknown): boolean => typeof part === "number" && !Number.isNaN(part)

/** The first unit in which an object says a time, and that durations do not have. */
const foreignUnit = (input: Duration.Input): string | undefined =>
  typeof input === "object" && !Array.isArray(input) && !Duration.isDuration(input)
    ? Object.keys(input ?? {}).find((unit) => !units.has(unit))
    : undefined

const unitNames: ReadonlyArray<keyof Duration.DurationObject> = [
  "weeks",
  "days",
  "hours",
  "minutes",
  "seconds",
  "milliseconds",
  "microseconds",
  "nanoseconds"
]

const units = new Set<string>(unitNames)
