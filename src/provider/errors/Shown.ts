/**
 * Says what may show of a call in the error it ends with: no secret, and nothing of what it was asked.
 */
import { Predicate, Redacted } from "effect"
import type { Prompt } from "effect/ai"
import * as HeaderNames from "../http/ResponseHeaderNames.ts"
import { isSecretHeader, type Mask, maskOf } from "../http/Secrets.ts"

export interface Shown {
  /** Hides secrets by their value. */
  readonly mask: Mask
  /** Whether a response header is kept, by its name in lower case. */
  readonly isKept: (name: string) => boolean
  /** What the call asked: an error that quotes it shows none of that. */
  readonly prompt: Prompt.Prompt | undefined
}

/** For a failure of which nothing is known but itself. */
export const unknown: Shown = { mask: (text) => text, isKept: HeaderNames.isPassed, prompt: undefined }

/** A mask of values that were given as secret. */
export const maskOfGiven = (secrets: Iterable<string | Redacted.Redacted>): Mask =>
  maskOf(Array.from(secrets, (secret) => (Redacted.isRedacted(secret) ? Redacted.value(secret) : secret)))

/** Masks the values of secret headers as well. */
export const withHeaders = (mask: Mask, headers: { readonly [name: string]: string | undefined } | undefined): Mask => {
  if (headers === undefined) return mask
  const more = Object.entries(headers).flatMap(([name, value]) =>
    value !== undefined && isSecretHeader(name) ? [value] : []
  )
  const also = more.length === 0 ? undefined : maskOf(more)
  return also === undefined ? mask : (text) => also(mask(text))
}

/** The response headers that are passed on, by their names in lower case. */
export const headersOf = (
  headers: Readonly<Record<string, string>> | undefined,
  { isKept, mask }: Shown
): Record<string, string> | undefined => {
  if (headers === undefined) return undefined
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (isKept(name.toLowerCase())) kept[name.toLowerCase()] = mask(value)
  }
  return kept
}

/** The texts of a prompt, with the parameters of its tool calls and their results. */
export function* textsOf({ content: messages }: Prompt.Prompt): Generator<string> {
  for (const { content } of messages) {
    if (Predicate.isString(content)) yield content
    else
      for (const part of content) {
        if ("text" in part) yield part.text
        else if (part.type === "tool-call") yield* textsIn(part.params)
        else if (part.type === "tool-result") yield* textsIn(part.result)
      }
  }
}

/** Every text of a value: each by itself, and as they stand in JSON beside each other. */
export function* textsIn(value: unknown): Generator<string> {
  if (Predicate.isString(value)) return yield value
  const left: Array<unknown> = [value]
  for (let places = 0; left.length > 0 && places < mostPlaces; places++) {
    const next = left.pop()
    if (Predicate.isString(next)) yield next
    else if (Predicate.isObjectOrArray(next)) left.push(...Object.values(next).slice(0, mostPlaces - left.length))
  }
  yield written(value)
}

const mostPlaces = 10_000

/** JSON can be nested too deeply to be written. */
const written = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? ""
  } catch {
    return ""
  }
}
