/**
 * Finds what a refusal says in its body: JSON, perhaps behind comments that kept the connection open, or an event of a
 * stream, from servers that refuse a stream in the form of one.
 */
import { Option, Predicate } from "effect"
import { Preamble } from "../http/Preamble.ts"
import { Parser } from "../http/Sse.ts"

/** What the body says; the body itself when that cannot be told. */
export const contentOf = (body: unknown): unknown => {
  if (!Predicate.isString(body)) return body
  const text = new Preamble().drop(Buffer.from(body)).toString("utf8")
  if (/^(?:data|event|id|retry|error):/.test(text)) return firstEventOf(text) ?? body
  return /^[[{]/.test(text) ? (parsed(text) ?? body) : body
}

const firstEventOf = (text: string): unknown => {
  let found: unknown
  const parser = new Parser((data) => {
    if (found === undefined && /^\s*[[{]/.test(data)) found = parsed(data)
  }, Infinity)
  parser.feed(`${text}\n\n`)
  return found
}

const parseJson = Option.liftThrowable((text: string): unknown => JSON.parse(text))
const parsed = (text: string): unknown => Option.getOrUndefined(parseJson(text))
