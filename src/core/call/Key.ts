/**
 * Builds the keys under which calls and jobs share something: limits, circuits, budgets, leases, results.
 *
 * Keys are built here and nowhere else. Different parts give different keys, whatever is in them, in memory and in a store
 * that keeps texts as UTF-8: each part is escaped, lone surrogates too, and who is nobody is another than who has an empty
 * name.
 */
import { hash } from "node:crypto"

/**
 * Writes parts as one key that people can read: `openai/gpt-5-mini#acme`. A part that is undefined is one that nobody gave,
 * which differs from an empty one.
 */
export const of = (first: string | undefined, ...others: ReadonlyArray<string | undefined>): string =>
  within(part(first), ...others)

/** Adds parts to a key: what belongs to these within what has the key. */
export const within = (key: string, ...parts: ReadonlyArray<string | undefined>): string => {
  let text = key
  for (const each of parts) text += `#${part(each)}`
  return text
}

/** The key of a tenant's own within what has the key; the key itself for who calls for nobody. */
export const ofTenant = (key: string, tenant: string | undefined): string =>
  tenant === undefined ? key : within(key, tenant)

/** Writes the name and the model of a provider: `openai/gpt-5-mini`. The first slash ends the name. */
export const ofModel = (name: string, model: string): string => `${part(name).replaceAll("/", "%2f;")}/${part(model)}`

/**
 * The SHA-256 of a text, in base64url. Texts that differ have hashes that differ, also where UTF-8 would write the same: a
 * text with lone surrogates is hashed as UTF-16, behind a byte with which no UTF-8 begins.
 */
export const hashOf = (text: string): string =>
  hash("sha256", text.isWellFormed() ? text : Buffer.concat([noUtf8, Buffer.from(text, "utf16le")]), "base64url")

const noUtf8 = Buffer.of(0xff)

const part = (text: string | undefined): string => {
  if (text === undefined) return ""
  if (text === "") return "%"
  return special.test(text) ? text.replaceAll(specials, escape) : text
}

// A surrogate that is one of a pair is no match: with the flag `u` a pair is one character.
const special = /[%#\p{Surrogate}]/u
const specials = /[%#\p{Surrogate}]/gu

const escape = (character: string): string => `%${character.charCodeAt(0).toString(16)};`
