/**
 * Tells JSON that ends too early from JSON that is wrong: what was cut on its way may come whole another time.
 */

/** Whether something opened in a text is never closed, or nothing came at all. Reads each character once. */
export const is = (text: string): boolean => {
  const first = /^\s*([[{])?/.exec(text)
  if (first?.[1] === undefined) return first?.[0].length === text.length
  let open = 0
  for (let at = first[0].length - 1; at < text.length; at++) {
    const sign = text.charCodeAt(at)
    if (sign === 0x22) {
      at += 1
      while (at < text.length && text.charCodeAt(at) !== 0x22) at += text.charCodeAt(at) === 0x5c ? 2 : 1
      if (at >= text.length) return true
    } else if (sign === 0x7b || sign === 0x5b) open += 1
    else if (sign === 0x7d || sign === 0x5d) open -= 1
  }
  return open > 0
}
