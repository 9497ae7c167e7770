/**
 * Reads what an answer says of itself: its id, its model and when it was made.
 */
import { DateTime, Predicate } from "effect"
import type { Response } from "effect/ai"

export type AnswerHead = Response.ResponseMetadataPartEncoded

/** `undefined` when it says nothing. */
export const of = (chunk: Readonly<Record<string, unknown>>): AnswerHead | undefined => {
  const { id, model } = chunk
  const timestamp = timeOf(chunk["created"])
  const said = {
    ...(Predicate.isString(id) && id !== "" ? { id } : {}),
    ...(Predicate.isString(model) && model !== "" ? { modelId: model } : {}),
    ...(timestamp === undefined ? {} : { timestamp })
  }
  return Object.keys(said).length === 0 ? undefined : { type: "response-metadata", ...said }
}

/** Some servers count milliseconds, and not seconds, since 1970. */
const timeOf = (created: unknown): string | undefined => {
  if (!Predicate.isNumber(created) || !(created > 0)) return undefined
  const millis = created < leastMillis ? created * 1_000 : created
  return millis <= lastMillis ? DateTime.formatIso(DateTime.makeUnsafe(millis)) : undefined
}

/** As seconds this would be the year 5138, as milliseconds it is 1973. */
const leastMillis = 1e11
/** The last moment that has a date. */
const lastMillis = 8_640_000_000_000_000
