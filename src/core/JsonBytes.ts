/**
 * Finds where the fields of a JSON object stand in its bytes, so that their values can be passed on as they are.
 *
 * Only strings and brackets are looked at: it is as fast as a search, takes any depth, and is no check of the JSON.
 */

/** Where a value stands, quotes included. */
export interface Place {
  readonly from: number
  readonly to: number
}

/** The fields of an object: each name with the places of its values, in their order; more than one where it is given again. */
export interface Fields {
  readonly places: ReadonlyMap<string, ReadonlyArray<Place>>
  /** Where the closing brace stands. */
  readonly end: number
}

const quote = 34
const backslash = 92

/** The fields of an object; `undefined` for what is none. */
export const fieldsOf = (bytes: Uint8Array): Fields | undefined => {
  const places = new Map<string, Array<Place>>()
  let at = skipSpace(bytes, 0)
  if (bytes[at] !== 0x7b) return undefined
  at = skipSpace(bytes, at + 1)
  while (bytes[at] !== 0x7d) {
    const nameEnd = skipValue(bytes, at)
    const colon = skipSpace(bytes, nameEnd)
    if (bytes[at] !== quote || bytes[colon] !== 0x3a) return undefined
    const from = skipSpace(bytes, colon + 1)
    const to = skipValue(bytes, from)
    if (to === from) return undefined
    const name = nameOf(bytes.subarray(at, nameEnd))
    const known = places.get(name)
    if (known === undefined) places.set(name, [{ from, to }])
    else known.push({ from, to })
    at = skipSpace(bytes, to)
    if (bytes[at] === 0x2c) {
      at = skipSpace(bytes, at + 1)
      if (bytes[at] !== quote) return undefined
    } else if (bytes[at] !== 0x7d) return undefined
  }
  return skipSpace(bytes, at + 1) === bytes.length ? { places, end: at } : undefined
}

/** The name without its escapes. One that is no JSON is nobody's name. */
const nameOf = (literal: Uint8Array): string => {
  const text = Buffer.from(literal).toString("utf8")
  try {
    return String(JSON.parse(text))
  } catch {
    return text
  }
}

const skipSpace = (bytes: Uint8Array, from: number): number => {
  let at = from
  while (bytes[at] === 0x20 || bytes[at] === 0x09 || bytes[at] === 0x0a || bytes[at] === 0x0d) at += 1
  return at
}

/** Skips a value, however deep it is. */
const skipValue = (bytes: Uint8Array, from: number): number => {
  let depth = 0
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === quote) {
      at = endOfString(bytes, at + 1)
      if (depth === 0) return at + 1
    } else if (byte === 0x7b || byte === 0x5b) depth += 1
    else if (byte === 0x7d || byte === 0x5d) {
      if (depth === 0) return at
      depth -= 1
      if (depth === 0) return at + 1
    } else if (
      depth === 0 &&
      (byte === 0x2c || byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09 || byte === 0x3a)
    )
      return at
  }
  return bytes.length
}

/** Where the closing quote stands. A long text, such as an image, is searched and not walked. */
const endOfString = (bytes: Uint8Array, from: number): number => {
  for (let at = bytes.indexOf(quote, from); at !== -1; at = bytes.indexOf(quote, at + 1)) {
    let escapes = 0
    while (at - escapes > from && bytes[at - escapes - 1] === backslash) escapes += 1
    if (escapes % 2 === 0) return at
  }
  return bytes.length
}
