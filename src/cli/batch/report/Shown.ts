/**
 * Makes texts of others fit for a terminal: what would move its cursor, change its colours or turn the writing around is shown as
 * an escape.
 */

/** Controls, line and paragraph separators, and marks that change the direction of writing. */
const unfit = /[\p{Cc}\p{Zl}\p{Zp}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069\p{Cs}]/gu

const escape = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

/** A text on one line, with nothing in it but what can be seen. */
export const text = (given: string): string => given.replaceAll(unfit, escape)

/** The same, and no longer than so many characters. */
export const short = (given: string, atMost: number): string => {
  const shown = text(given.slice(0, atMost + 1))
  return given.length > atMost ? `${shown.slice(0, atMost)}…` : shown
}

/** JSON says the same with escapes, which programs read back. */
export const json = (value: unknown): string => JSON.stringify(value).replaceAll(unfit, escape)
