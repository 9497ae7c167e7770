/**
 * Writes any value as a short text, for people, and never throws: not for an error whose message throws, a symbol, a
 * revoked proxy or a chain of a million causes.
 *
 * What a program fails with is chosen by its libraries and by whoever talks to it. A report of a failure that fails over
 * that value would be a silent failure.
 */
import { Cause } from "effect"

/** How much is written: characters in all, causes of an error, levels of an object, entries of each, reasons of a `Cause`. */
export const limits = { length: 2_000, causes: 8, depth: 3, entries: 10, reasons: 3 } as const

/** Writes a value: an error as its name, its message, its causes and those of an `AggregateError`; anything else much as one would write it in code. */
export const of = (value: unknown): string => cut(written(value))

/** Writes what a `Cause` holds: its errors and defects, or that there was an interruption only. */
export const ofCause = (cause: Cause.Cause<unknown>): string => {
  const failures = cause.reasons.filter((reason) => !Cause.isInterruptReason(reason))
  if (failures.length === 0) return cause.reasons.length === 0 ? "no cause" : "interrupted"
  const texts = failures
    .slice(0, limits.reasons)
    .map((reason) => of(Cause.isFailReason(reason) ? reason.error : reason.defect) || "(empty)")
  const more = failures.length - texts.length
  return cut(texts.join("; ") + (more > 0 ? `; and ${more} more` : ""))
}

const unreadable = "a value that cannot be read"

const written = (value: unknown): string => attempt(() => (isError(value) ? chain(value) : plain(value, 0)))

const attempt = (write: () => string): string => {
  try {
    return write()
  } catch {
    return unreadable
  }
}

/** Reads a property of something that may be a trap. */
const read = (value: object, key: string): unknown => {
  try {
    return Reflect.get(value, key)
  } catch {
    return undefined
  }
}

const isError = (value: unknown): value is Error => value instanceof Error

const chain = (error: Error): string => {
  const texts = [headline(error)]
  let next = attemptCause(error)
  while (next !== undefined && next !== null && texts.length <= limits.causes) {
    const cause = next
    texts.push(attempt(() => (isError(cause) ? headline(cause) : plain(cause, 0))))
    next = attemptCause(cause)
  }
  if (next !== undefined && next !== null) texts.push("…")
  return texts.join(", caused by ")
}

const attemptCause = (value: unknown): unknown => {
  try {
    if (!isError(value)) return undefined
    const cause = read(value, "cause")
    // What an error has as its reason too, it has said.
    return isError(cause) && cause === read(value, "reason") ? read(cause, "cause") : cause
  } catch {
    return undefined
  }
}

const headline = (error: Error): string => titled(error) + (error instanceof AggregateError ? together(error) : "")

const together = (error: AggregateError): string => {
  const errors = read(error, "errors")
  if (!Array.isArray(errors) || errors.length === 0) return ""
  const texts = errors
    .slice(0, limits.reasons)
    .map((each: unknown) => attempt(() => (isError(each) ? titled(each) : plain(each, 0))))
  const more = errors.length - texts.length
  return ` (${texts.join("; ")}${more > 0 ? `; and ${more} more` : ""})`
}

const titled = (error: Error): string => {
  const name = read(error, "name")
  const message = read(error, "message")
  const called = typeof name === "string" && name !== "" ? cut(name) : "Error"
  if (message === "") return called
  return `${called}: ${typeof message === "string" ? cut(message) : "its message cannot be read"}`
}

const plain = (value: unknown, depth: number): string => {
  switch (typeof value) {
    case "string":
      return depth === 0 ? cut(value) : JSON.stringify(cut(value))
    case "bigint":
      return `${value}n`
    case "function":
      return "a function"
    case "object":
      return value === null ? "null" : attempt(() => object(value, depth))
    default:
      return String(value)
  }
}

const object = (value: object, depth: number): string => {
  if (isError(value)) return headline(value)
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`
  if (value instanceof Date) return String(value.getTime())
  if (depth >= limits.depth) return Array.isArray(value) ? "[…]" : "{…}"
  if (Array.isArray(value)) {
    const items: Array<string> = []
    for (let n = 0; n < Math.min(value.length, limits.entries); n++) items.push(item(value, String(n), depth))
    return `[${items.concat(value.length > limits.entries ? "…" : []).join(", ")}]`
  }
  const toJSON = read(value, "toJSON")
  if (typeof toJSON === "function") return plain(toJSON.call(value), depth + 1)
  const message = read(value, "message")
  const tag = read(value, "_tag")
  if (typeof message === "string" && message !== "") {
    return typeof tag === "string" ? `${cut(tag)}: ${cut(message)}` : cut(message)
  }
  const keys = Object.keys(value)
  const entries = keys.slice(0, limits.entries).map((key) => `${cut(key)}: ${item(value, key, depth)}`)
  if (keys.length > limits.entries) entries.push("…")
  return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`
}

const item = (value: object, key: string, depth: number): string =>
  attempt(() => plain(Reflect.get(value, key), depth + 1))

/** Shortens a text, and says so by an ellipsis. A character of two units is not halved. */
export const cut = (text: string, atMost: number = limits.length): string =>
  (text.length <= atMost ? text : `${text.slice(0, atMost - 1)}…`).toWellFormed()

/** Writes a text that others chose so that it stays within its line, and changes nothing of a terminal: `\\n` for a new line. */
export const inLine = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => escapes[character] ?? unicode(character))

const escapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }

const unicode = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
