/**
 * Finds the name that somebody meant who mistyped it.
 */

/** What a longer name differs by is no slip of the pen. */
const longest = 64

/**
 * The one of `names` that takes the fewest slips to come from `name`: a letter more, less or another. None when that would
 * be more than half of its letters.
 */
export const of = (name: string, names: ReadonlyArray<string>): string | undefined => {
  if (name.length > longest) return undefined
  let nearest: string | undefined
  let fewest = Math.ceil(name.length / 2)
  for (const each of names) {
    const slips = slipsBetween(name.toLowerCase(), each.toLowerCase())
    if (slips > fewest || (slips === fewest && nearest !== undefined)) continue
    nearest = each
    fewest = slips
  }
  return nearest
}

// Levenshtein's distance, a row at a time: `row[n]` is that of the letters so far to the first n of the other name.
const slipsBetween = (name: string, other: string): number => {
  let row = Array.from({ length: other.length + 1 }, (_, n) => n)
  for (let at = 1; at <= name.length; at++) {
    const next = [at]
    for (let n = 1; n <= other.length; n++) {
      const swapped = (row[n - 1] ?? 0) + (name[at - 1] === other[n - 1] ? 0 : 1)
      next.push(Math.min(swapped, (row[n] ?? 0) + 1, (next[n - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[other.length] ?? 0
}
