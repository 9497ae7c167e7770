/**
 * Reads JSON as Python writes it, in which a number may be `NaN` or `Infinity`: servers write them into `logprobs` and timings.
 */

/** Reads such numbers as `null`, which most servers write for them. Throws for whatever else is no JSON. */
export const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    // A pattern that is used once is slow on a long text.
    if (!text.includes("NaN") && !text.includes("Infinity")) throw error
    return JSON.parse(withNulls(text))
  }
}

const each = /-?\b(?:NaN|Infinity)\b/g

/** What stands in quotes is left as it is. No character is looked at twice. */
const withNulls = (text: string): string => {
  const pieces: Array<string> = []
  for (let at = 0; at < text.length;) {
    const open = text.indexOf('"', at)
    const outside = text.slice(at, open < 0 ? undefined : open)
    pieces.push(outside.replace(each, "null"))
    if (open < 0) break
    const end = endOf(text, open)
    pieces.push(text.slice(open, end))
    at = end
  }
  return pieces.join("")
}

/** Where a text in quotes ends. */
const endOf = (text: string, open: number): number => {
  let close = open
  do {
    close = text.indexOf('"', close + 1)
    if (close < 0) return text.length
  } while (isEscaped(text, close))
  return close + 1
}

const isEscaped = (text: string, at: number): boolean => {
  let from = at
  while (text[from - 1] === "\\") from -= 1
  return (at - from) % 2 === 1
}
