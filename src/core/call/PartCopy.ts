/**
 * Copies the parts of an answer that several callers get, so that none of them writes into what the others get: those who
 * prepare the parameters of a tool call, or who hide words of a text, do it in place.
 */
import { Predicate } from "effect"

/** A part of one's own. */
export const of = <Part extends object>(part: Part): Part => (isFlat(part) ? { ...part } : copied(part, mostLevels))

// Pieces of a text come by the thousand, and have nothing in them but texts.
const isFlat = (part: object): boolean => ("delta" in part || "text" in part) && !("metadata" in part)

/** Deeper than the data of answers goes, and so flat that nothing runs out of stack. What is deeper is shared. */
const mostLevels = 200

// Of plain data; what is none stays as it is.
const copied = <A>(value: A, left: number): A => {
  if (left === 0) return value
  if (Array.isArray(value)) return value.map((item: unknown) => copied(item, left - 1)) as A
  if (!Predicate.isObject(value) || !isPlain(value)) return value
  const own: Record<string, unknown> = { ...value }
  for (const name in own) if (Predicate.isObjectOrArray(own[name])) own[name] = copied(own[name], left - 1)
  return own as A
}

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Whether a copy is as what it was made of: nobody has written into either. */
export const isAs = (original: unknown, own: unknown, left: number = mostLevels): boolean => {
  if (Object.is(original, own)) return true
  if (left === 0 || !Predicate.isObjectOrArray(original) || !Predicate.isObjectOrArray(own)) return false
  const [names, ownNames] = [Object.keys(original), Object.keys(own)]
  if (names.length !== ownNames.length || Array.isArray(original) !== Array.isArray(own)) return false
  if (Object.getPrototypeOf(original) !== Object.getPrototypeOf(own)) return false
  return names.every((name) => Object.hasOwn(own, name) && isAs(fieldOf(original, name), fieldOf(own, name), left - 1))
}

const fieldOf = (value: object, name: string): unknown => (value as Readonly<Record<string, unknown>>)[name]
