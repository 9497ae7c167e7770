/**
 * Has an error say the same words wherever it is shown: as a text, in JSON, where it is printed, and in a `Cause`.
 *
 * What Effect writes of an error in JSON and for `console.log` are its fields, without the message.
 */
import { Data, Inspectable, Predicate, Schema } from "effect"
import * as SafeText from "./SafeText.ts"

/**
 * As `Schema.TaggedError`, of errors that show their message everywhere.
 *
 * It has that one's type, which is generic in the class that extends it: no function around it can be shown to have it.
 */
export const TaggedError = ((identifier?: string) =>
  (...schema: [tag: string, fields: Schema.Struct.Fields]) =>
    shown(Schema.TaggedError<Error>(identifier)(...schema))) as unknown as typeof Schema.TaggedError

/** As `Data.TaggedError`, of errors that show their message everywhere. */
export const DataError = ((tag: string) => shown(Data.TaggedError(tag))) as typeof Data.TaggedError

/** What one error is called, and says, in place of what its class gives it. */
export interface Words {
  readonly name?: string
  readonly message?: string
}

/** Whether {@link show} has been there. */
export const isShown = (error: Error): boolean => Object.hasOwn(error, "toJSON")

/** Has one error, which somebody else's class made, show its message everywhere. A frozen one is left as it is. */
export const show = <E extends Error>(error: E, words: Words = {}): E => {
  const before = Error.prototype.toString.call(error)
  for (const [key, value] of Object.entries(words)) define(error, key, value)
  defineMethods(error)
  // Who read it before has written it as it was.
  const { stack } = error
  if (stack?.startsWith(before))
    define(error, "stack", Error.prototype.toString.call(error) + stack.slice(before.length))
  return error
}

const shown = <Class extends { readonly prototype: object }>(errors: Class): Class => {
  defineMethods(errors.prototype)
  return errors
}

const defineMethods = (target: object): void => {
  define(target, "toJSON", toJSON)
  define(target, Inspectable.NodeInspectSymbol, inspected)
}

const define = (target: object, key: PropertyKey, value: unknown): boolean =>
  Reflect.defineProperty(target, key, { value, configurable: true, writable: true })

function toJSON(this: Error): object {
  return dataOf(this)
}

/** As Node prints errors: the stack, whose first line is the message, and the fields. */
function inspected(
  this: Error,
  depth: number,
  options: object,
  inspect?: (value: unknown, options: object) => string
): unknown {
  const data = dataOf(this)
  if (inspect === undefined) return data
  const title = Error.prototype.toString.call(this)
  // Space of one line only: a message of many empty lines would be looked through from each of them.
  const frames = /\n[^\S\n]+at .*/s.exec(this.stack ?? "")?.[0] ?? ""
  return depth < 0 ? `[${title}]` : `${title}${frames} ${inspect(data, options)}`
}

/** The fields of an error and its message; what begins with `~` only marks its kind. */
const dataOf = (error: Error): object => {
  const { cause, message: _, ...fields } = error as Error & { readonly [field: string]: unknown }
  const data: Record<string, unknown> = { _tag: error.name, message: error.message }
  for (const [key, value] of Object.entries(fields)) if (!key.startsWith("~")) data[key] = nested(value)
  // An `AiError` has its reason as its cause too.
  if (Object.hasOwn(error, "cause") && cause !== fields["reason"]) data["cause"] = nested(cause)
  return data
}

/** Errors of others may hold anything: what was sent, and themselves. */
const nested = (value: unknown): unknown => {
  if (!(value instanceof Error)) return value
  if (Predicate.hasProperty(value, "toJSON")) return value.toJSON === toJSON ? dataOf(value) : value
  try {
    const facts = Object.entries(value).filter(([, fact]) => !Predicate.isObject(fact) && !Predicate.isFunction(fact))
    return { name: value.name, message: value.message, ...Object.fromEntries(facts) }
  } catch {
    return SafeText.of(value)
  }
}
