/**
 * Takes out of a text what it quotes of others: a server that refuses a call may say back what it was asked, and a message
 * about an answer that cannot be read may hold that answer.
 */

/** What stands where a quotation was. */
const leftOut = "<left out>"

/** A quotation is a run of so many letters and digits, or a whole text of at least {@link shortest}. */
const run = 20
const shortest = 6
/** How many characters of what may be quoted are looked at. */
const most = 2 ** 20

/**
 * Replaces what a text quotes, escaped by JSON or not: letters and digits are compared, whatever stands between them. The
 * work grows with the length of all texts together.
 */
export const without = (text: string, quotable: Iterable<string>): string => {
  const said = lettersOf(text)
  const quoted = new Uint8Array(said.length)
  const whole = textOf(said)
  const runs = runsOf(said, whole)
  let left = most
  for (const other of quotable) {
    if (left <= 0) break
    const letters = lettersOf(other.slice(0, left))
    left -= other.length
    if (letters.length >= run) markRuns(letters, runs, quoted)
    else if (letters.length >= shortest) markWhole(letters, whole, quoted)
  }
  return replaced(text, said, quoted)
}

/** The letters and digits of a text, in lower case, and where in it each begins and ends. */
interface Letters {
  readonly codes: Uint16Array
  readonly begins: Uint32Array
  readonly ends: Uint32Array
  readonly length: number
}

const lettersOf = (text: string): Letters => {
  const codes = new Uint16Array(text.length)
  const begins = new Uint32Array(text.length)
  const ends = new Uint32Array(text.length)
  let length = 0
  for (let at = 0; at < text.length; at++) {
    const begin = at
    let code = text.charCodeAt(at)
    if (code === backslash) {
      while (text.charCodeAt(at + 1) === backslash) at += 1
      const escaped = text.charAt(at + 1)
      if ("nrtbf".includes(escaped)) at += 1
      const hex = escaped === "u" ? text.slice(at + 2, at + 6) : ""
      if (!/^[0-9a-f]{4}$/i.test(hex)) continue
      code = Number.parseInt(hex, 16)
      at += 5
    }
    if (!isLetter(code)) continue
    codes[length] = code >= 0x41 && code <= 0x5a ? code | 0x20 : code
    begins[length] = begin
    ends[length] = at + 1
    length += 1
  }
  return { codes, begins, ends, length }
}

const backslash = 0x5c

const isLetter = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) || code >= 0x80

/** The runs of a text: their hashes, and where each stands, by its letters. */
interface Runs {
  readonly hashes: ReadonlySet<number>
  readonly places: Map<string, Array<number>>
}

const runsOf = (said: Letters, text: string): Runs => {
  const hashes = new Set<number>()
  const places = new Map<string, Array<number>>()
  eachRun(said, (hash, at) => {
    hashes.add(hash)
    const letters = text.slice(at, at + run)
    const known = places.get(letters)
    if (known === undefined) places.set(letters, [at])
    else known.push(at)
  })
  return { hashes, places }
}

const factor = 0x01000193
const outgoing = Array.from({ length: run }).reduce((power: number) => Math.imul(power, factor), 1)

/** Sees each run with a hash that is made from that of the run before. */
const eachRun = ({ codes, length }: Letters, see: (hash: number, at: number) => void): void => {
  let hash = 0
  for (let at = 0; at < length; at++) {
    hash = (Math.imul(hash, factor) + (codes[at] ?? 0)) | 0
    if (at >= run) hash = (hash - Math.imul(outgoing, codes[at - run] ?? 0)) | 0
    if (at >= run - 1) see(hash, at - run + 1)
  }
}

/**
 * Marks the runs that both texts have. The hash passes over most that only one has; whoever likes can write any number of runs
 * that share a hash, so what it lets through is looked up by its letters.
 */
const markRuns = (letters: Letters, { hashes, places }: Runs, quoted: Uint8Array): void => {
  let text: string | undefined
  eachRun(letters, (hash, at) => {
    if (!hashes.has(hash)) return
    text ??= textOf(letters)
    const found = text.slice(at, at + run)
    for (const place of places.get(found) ?? []) quoted.fill(1, place, place + run)
    // Each is found once, however often it is quoted.
    places.delete(found)
  })
}

const markWhole = (letters: Letters, said: string, quoted: Uint8Array): void => {
  const looked = textOf(letters)
  const { length } = letters
  for (let at = said.indexOf(looked); at >= 0; at = said.indexOf(looked, at + length)) quoted.fill(1, at, at + length)
}

const textOf = ({ codes, length }: Letters): string => Buffer.from(codes.buffer, 0, 2 * length).toString("utf16le")

const replaced = (text: string, { begins, ends, length }: Letters, quoted: Uint8Array): string => {
  let shown = ""
  let from = 0
  for (let at = 0; at < length; at++) {
    if (quoted[at] === 0) continue
    let last = at
    while (last + 1 < length && quoted[last + 1] === 1) last += 1
    shown += `${text.slice(from, begins[at])}${leftOut}`
    from = ends[last] ?? text.length
    at = last
  }
  return shown + text.slice(from)
}
