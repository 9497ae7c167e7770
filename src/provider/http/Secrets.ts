/**
 * Masks secrets by their value in whatever is shown of a call: a server may quote the key it refuses, in any words.
 */

/** Replaces every secret in a text. */
export type Mask = (text: string) => string

/** What stands where a secret was. */
export const masked = "<masked>"

/** Shorter values are no secrets that could be told from words. */
const shortest = 6

/**
 * Makes a mask of the values that must not show: as they are, and however JSON or a URL escapes them. The beginning of a
 * value at the end of a text is masked as well: the text may have been cut there.
 */
export const maskOf = (secrets: Iterable<string>): Mask => {
  const bare = new Set([...secrets].map((secret) => secret.replace(/^(?:Bearer|Basic) /i, "").toWellFormed()))
  const longestFirst = [...bare].filter(({ length }) => length >= shortest).sort((a, b) => b.length - a.length)
  const forms = longestFirst.map((secret) => [secret, new RegExp(escapedOf(secret), "g")] as const)
  return (text) => forms.reduce((left, [secret, form]) => withoutBeginning(left.replaceAll(form, masked), secret), text)
}

/** A pattern of a text of which any character may be escaped: by JSON, also inside a text of JSON, or by a URL. */
const escapedOf = (text: string): string =>
  Array.from(text, (sign, at) => {
    const units = Array.from({ length: sign.length }, (_, unit) => hexOf(sign.charCodeAt(unit), 4))
    const literal = units.map((unit) => `\\u${unit}`).join("")
    const json = units.map((unit) => String.raw`\\{1,8}u${anyCase(unit)}`).join("")
    const url = [...Buffer.from(sign)].map((byte) => `%${anyCase(hexOf(byte, 2))}`).join("")
    return String.raw`(?:${at === 0 ? "" : String.raw`\\{0,8}`}${literal}|${json}|${url})`
  }).join("")

const hexOf = (value: number, digits: number): string => value.toString(16).padStart(digits, "0")

const anyCase = (hex: string): string => hex.replaceAll(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)

const withoutBeginning = (text: string, secret: string): string => {
  for (let length = Math.min(secret.length, text.length); length >= shortest; length--) {
    if (text.endsWith(secret.slice(0, length))) return `${text.slice(0, -length)}${masked}`
  }
  return text
}

/** Names of headers whose values are credentials. */
export const isSecretHeader = (name: string): boolean =>
  /authorization|cookie|secret|signature|api-?key|(^|-)(token|key|auth)$/i.test(name)
