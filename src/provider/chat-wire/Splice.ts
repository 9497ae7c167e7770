/**
 * Puts fields into a JSON object that is given as bytes, and leaves all its other bytes as they are.
 */
import { Data } from "effect"
import * as JsonBytes from "../../core/JsonBytes.ts"

/** The bytes cannot be spliced: which field is why, if it is one. */
export class Unspliceable extends Data.TaggedError("Unspliceable")<{
  readonly field?: string
  readonly because: string
}> {}

/**
 * Replaces the value of a field, or adds it at the end. Throws {@link Unspliceable} for what is no JSON object, and for one
 * that has the field twice: readers differ in which of the two they take.
 */
export const set = (body: Uint8Array, name: string, value: Uint8Array): Uint8Array => {
  const { end, place, size } = find(body, name)
  if (place !== undefined) return Buffer.concat([body.subarray(0, place.from), value, body.subarray(place.to)])
  const field = Buffer.from(`${size === 0 ? "" : ","}${JSON.stringify(name)}:`)
  return Buffer.concat([body.subarray(0, end), field, value, body.subarray(end)])
}

/** The bytes of a field's value; `undefined` when there is none. Throws as {@link set} does. */
export const get = (body: Uint8Array, name: string): Uint8Array | undefined => {
  const { place } = find(body, name)
  return place === undefined ? undefined : body.subarray(place.from, place.to)
}

const find = (body: Uint8Array, name: string) => {
  const object = JsonBytes.fieldsOf(body)
  if (object === undefined) throw new Unspliceable({ because: "must be a JSON object" })
  const [place, another] = object.places.get(name) ?? []
  if (another !== undefined) throw new Unspliceable({ field: name, because: "must not be given twice" })
  return { end: object.end, size: object.places.size, place }
}
