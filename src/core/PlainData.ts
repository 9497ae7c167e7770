/**
 * Copies and compares data of lists and plain objects, as JSON has it. What is neither stands in a copy as it is.
 */
import { Predicate } from "effect"

/** Deeper than the data of answers and jobs goes, and so flat that nothing runs out of stack. What is deeper is shared. */
const mostLevels = 200

/** Whether an object is of no class. */
export const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

export const copy = <A>(value: A, left: number = mostLevels): A => {
  if (left === 0) return value
  if (Array.isArray(value)) return value.map((item: unknown) => copy(item, left - 1)) as A
  if (!Predicate.isObject(value) || !isPlain(value)) return value
  const own: Record<string, unknown> = { ...value }
  for (const name in own) if (Predicate.isObjectOrArray(own[name])) own[name] = copy(own[name], left - 1)
  return own as A
}

/** Whether a copy is as what it was made of: nobody has written into either. */
export const isSame = (original: unknown, own: unknown, left: number = mostLevels): boolean => {
  if (Object.is(original, own)) return true
  if (left === 0 || !Predicate.isObjectOrArray(original) || !Predicate.isObjectOrArray(own)) return false
  const [names, ownNames] = [Object.keys(original), Object.keys(own)]
  if (names.length !== ownNames.length || Object.getPrototypeOf(original) !== Object.getPrototypeOf(own)) return false
  return names.every(
    (name) => Object.hasOwn(own, name) && isSame(fieldOf(original, name), fieldOf(own, name), left - 1)
  )
}

const fieldOf = (value: object, name: string): unknown => (value as Readonly<Record<string, unknown>>)[name]
