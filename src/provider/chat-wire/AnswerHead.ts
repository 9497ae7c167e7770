/**
 * Reads what an answer says of itself: its id, its model and when it was made.
 */
import { Predicate } from "effect"
import type { Response } from "effect/ai"

export type AnswerHead = Response.ResponseMetadataPartEncoded

/** `undefined` when it says nothing. */
export const of = (chunk: Readonly<Record<string, unknown>>): AnswerHead | undefined => {
  const { id, model } = chunk
  const timestamp = timeOf(chunk["created"])
  const said: { -readonly [name in keyof AnswerHead]: AnswerHead[name] } = { type: "response-metadata" }
  if (isName(id)) said.id = id
  if (isName(model)) said.modelId = model
  if (timestamp !== undefined) said.timestamp = timestamp
  return isName(id) || isName(model) || timestamp !== undefined ? said : undefined
}

const isName = (value: unknown): value is string => Predicate.isString(value) && value !== ""

/** Some servers count milliseconds, and not seconds, since 1970. */
const timeOf = (created: unknown): string | undefined => {
  if (!Predicate.isNumber(created) || !(created > 0)) return undefined
  const millis = created < leastMillis ? created * 1_000 : created
  // @effect-diagnostics-next-line globalDate:off -- a DateTime costs more than the rest of the head
  return millis <= lastMillis ? new Date(millis).toISOString() : undefined
}

/** As seconds this would be the year 5138, as milliseconds it is 1973. */
const leastMillis = 1e11
/** The last moment that has a date. */
const lastMillis = 8_640_000_000_000_000
