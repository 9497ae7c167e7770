/**
 * Takes out of a text what it quotes of others: a server that refuses a call may say back what it was asked, and a message
 * about an answer that cannot be read may hold that answer.
 */
import { randomInt } from "node:crypto"

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
  const windows = windowsOf(said)
  const whole = textOf(said)
  let left = most
  for (const other of quotable) {
    if (left <= 0) break
    const letters = lettersOf(other.slice(0, left))
    left -= other.length
    if (letters.length >= run) markRuns(letters, said, windows, quoted)
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

/** Where each run of letters stands, by a hash of it that is made from that of the run before. */
const windowsOf = (said: Letters): Map<number, Array<number>> => {
  const windows = new Map<number, Array<number>>()
  eachRun(said, (hash, at) => {
    const places = windows.get(hash)
    if (places === undefined) windows.set(hash, [at])
    else places.push(at)
  })
  return windows
}

/** Odd, and another in each process: nobody can write texts whose runs all share a hash, which would take long to compare. */
const factor = randomInt(2 ** 24, 2 ** 31) * 2 + 1
const outgoing = Array.from({ length: run }).reduce((power: number) => Math.imul(power, factor), 1)

const eachRun = ({ codes, length }: Letters, see: (hash: number, at: number) => void): void => {
  let hash = 0
  for (let at = 0; at < length; at++) {
    hash = (Math.imul(hash, factor) + (codes[at] ?? 0)) | 0
    if (at >= run) hash = (hash - Math.imul(outgoing, codes[at - run] ?? 0)) | 0
    if (at >= run - 1) see(hash, at - run + 1)
  }
}

const markRuns = (letters: Letters, said: Letters, windows: Map<number, Array<number>>, quoted: Uint8Array): void => {
  eachRun(letters, (hash, at) => {
    const places = windows.get(hash)
    if (places === undefined) return
    // Runs that differ may share a hash, so each place is compared. A run is found once, however often it is quoted.
    const others = places.filter((place) => {
      const same = isSame(letters, at, said, place)
      if (same) quoted.fill(1, place, place + run)
      return !same
    })
    if (others.length === 0) windows.delete(hash)
    else if (others.length < places.length) windows.set(hash, others)
  })
}

const isSame = (one: Letters, at: number, other: Letters, from: number): boolean => {
  for (let each = 0; each < run; each++) if (one.codes[at + each] !== other.codes[from + each]) return false
  return true
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
