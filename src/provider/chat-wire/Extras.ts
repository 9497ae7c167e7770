/**
 * Keeps what a server says besides what is known, so that nothing of an answer is lost.
 */
import { Predicate, type Schema } from "effect"
import * as Faults from "./Faults.ts"
import * as Limits from "./Limits.ts"

/** Unknown fields by their names. */
export type Fields = Record<string, Schema.Json>

export class Extras {
  /** Of the answer: `system_fingerprint`, `service_tier`, … */
  readonly answer: Fields = {}
  /** Of its first choice: `logprobs`, `native_finish_reason`, … */
  readonly choice: Fields = {}
  /** Of its message: `annotations`, `reasoning_details`, … */
  readonly message: Fields = {}
  private readonly limits: Limits.Resolved

  constructor(limits: Limits.Resolved) {
    this.limits = limits
  }

  /** Keeps the fields of an object that are not known. The last value counts. */
  last(into: Fields, fields: Readonly<Record<string, unknown>>, known: ReadonlySet<string>): void {
    for (const name in fields) {
      if (!known.has(name) && Predicate.isNotNullish(fields[name])) this.set(into, name, fields[name])
    }
  }

  /** As {@link last}, but puts together what comes in pieces. Says whether there was anything. */
  pieces(into: Fields, fields: Readonly<Record<string, unknown>>, known: ReadonlySet<string>): boolean {
    let any = false
    for (const name in fields) {
      if (known.has(name) || !Predicate.isNotNullish(fields[name])) continue
      any = true
      this.piece(into, name, fields[name])
    }
    return any
  }

  /** Puts one piece to those before: text to text, lists to lists, and the lists of an object each to its own. */
  piece(into: Fields, name: string, said: unknown): void {
    const before = Object.hasOwn(into, name) ? into[name] : undefined
    const value = this.checked(name, said)
    if (Array.isArray(before) && Array.isArray(value)) {
      for (const item of value) before.push(item)
    } else if (Predicate.isString(before) && Predicate.isString(value)) {
      into[name] = before + value
    } else if (isFields(before) && isFields(value)) {
      this.pieces(before, value, none)
    } else {
      this.set(into, name, value)
    }
  }

  private set(into: Fields, name: string, value: unknown): void {
    if (name === "__proto__") return
    // What JSON.parse made is JSON.
    into[name] = this.checked(name, value) as Schema.Json
  }

  private checked(name: string, value: unknown): unknown {
    if (Limits.isWithin(value, this.limits.maxDepth)) return withNulls(value)
    const because = `${Faults.named("field", name)} is nested too deeply`
    throw new Faults.BeyondLimit({ limit: "maxDepth", allowed: this.limits.maxDepth, because })
  }
}

const none: ReadonlySet<string> = new Set()

const isFields = (value: unknown): value is Fields => Predicate.isObject(value)

/** Makes `null`, in its place, of a number that is larger than numbers are, such as `1e999`: JSON has none. */
const withNulls = (value: unknown): unknown => {
  if (Predicate.isNumber(value)) return Number.isFinite(value) ? value : null
  if (!Predicate.isObjectOrArray(value)) return value
  const fields = value as Record<string, unknown>
  for (const name in fields) {
    const field = fields[name]
    const is = withNulls(field)
    if (is !== field) fields[name] = is
  }
  return value
}
