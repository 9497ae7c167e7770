/**
 * Writes the input of a batch as chance says: lines as others write them with trash between, or a table; packed or not, and cut at
 * any byte.
 */
import { gzipSync } from "node:zlib"
import type { Chance } from "../../src/testing/seed/Chance.ts"
import { json } from "../provider/chat-wire/fuzzing.ts"

/** A request, and the body that is to be sent for it. */
export interface Request {
  readonly id: string
  readonly body: string
}

export interface Input {
  readonly bytes: Uint8Array
  /** Those that are whole in it. */
  readonly requests: ReadonlyArray<Request>
  /** Whether it is packed and cut, so that some of its requests cannot be read. */
  readonly isTorn: boolean
  readonly template: { readonly prompt: string } | undefined
}

const odd = [
  "",
  "é",
  "\u2028",
  '"',
  "\\",
  "\u0000",
  "\n",
  "{{",
  "__proto__",
  "\ud800",
  "x".repeat(300),
  "12345678901234567890"
]
export const word = (chance: Chance): string => `${odd[chance.below(odd.length)]}${chance.below(9)}`

/** JSON as others may write it: with spaces, large numbers and fields that come twice. */
export const spaced = (chance: Chance, text: string): string =>
  chance.onceIn(3) ? text.replaceAll(/(?<=[[{,]|":)(?=["[{\d])/g, () => " ".repeat(chance.below(2))) : text

/** A piece of the file: what it asks for, if anything, and up to which of its bytes it does so. */
interface Piece {
  readonly request?: Request
  readonly bytes: Buffer
}

export const inputOf = (chance: Chance): Input => {
  const isTable = chance.onceIn(4)
  const pieces = Array.from({ length: chance.below(8) }, (_, n) => (isTable ? row(chance, n) : line(chance, n))).flat()
  // The beginning says what kind of file it is.
  const head = Buffer.from(isTable ? "custom_id,other,text\n" : '{"id":"start"}\n')
  const whole = Buffer.concat([head, ...pieces.flatMap(({ bytes }) => [bytes, Buffer.from("\n")])])
  const [isPacked, isCut] = [chance.onceIn(4), chance.onceIn(4)]
  const cut = (bytes: Buffer, least: number) =>
    isCut ? bytes.subarray(0, least + chance.below(bytes.length - least + 1)) : bytes
  const template = isTable ? { prompt: "Say {{text}}" } : undefined
  if (isPacked) {
    const packed = gzipSync(whole)
    const bytes = cut(packed, 2)
    const requests = pieces.flatMap(({ request }) => request ?? [])
    return { bytes, requests, isTorn: bytes.length < packed.length, template }
  }
  const some = cut(whole, head.length)
  const ends = pieces.map(
    ({ bytes }, at) =>
      pieces.slice(0, at).reduce((sum, each) => sum + each.bytes.length + 1, head.length) + bytes.length
  )
  // A row that is cut behind a comma or a quote may look whole.
  const isInRow = isTable && !ends.some((end) => end === some.length || end + 1 === some.length)
  const bytes = isInRow ? Buffer.from(some.toString("latin1").replace(/[",]+$/u, ""), "latin1") : some
  const requests = pieces.flatMap(({ bytes: piece, request }, at) => {
    const isWhole = (ends[at] ?? 0) - piece.length + piece.toString("latin1").trimEnd().length <= bytes.length
    return request !== undefined && isWhole ? [request] : []
  })
  return { bytes, requests, isTorn: false, template }
}

const line = (chance: Chance, n: number): ReadonlyArray<Piece> => {
  const request = requestOf(chance, n)
  const bytes = Buffer.from(lineOf(chance, request))
  return chance.onceIn(4) ? [{ bytes: trash(chance) }, { request, bytes }] : [{ request, bytes }]
}

const requestOf = (chance: Chance, n: number): Request => {
  const rest = JSON.stringify({
    ...Object(json(chance)),
    model: "m",
    stream: undefined,
    messages: [{ role: "user", content: word(chance) }]
  })
  const body = `${spaced(chance, rest).slice(0, -1)},"seed":9007199254740993}`
  return { id: `${n}${word(chance)}`, body }
}

const lineOf = (chance: Chance, { body, id }: Request): string => {
  const name = JSON.stringify(id)
  return chance.oneOf([
    `{"custom_id":${name},"method":"POST","url":"/v1/chat/completions","body":${body}}`,
    ` {"body": ${body} ,"custom_id": ${name}}\r`
  ])
}

const trash = (chance: Chance): Buffer => {
  const bytes = Uint8Array.from({ length: chance.below(40) }, () => chance.below(256))
  return Buffer.from(bytes.filter((byte) => byte !== 10))
}

const row = (chance: Chance, n: number): ReadonlyArray<Piece> => {
  const [id, other, text] = [`${n}${word(chance)}`, word(chance), word(chance)]
  const cell = (value: string) => `"${value.replaceAll('"', '""')}"`
  const content = JSON.stringify(`Say ${text.toWellFormed()}`)
  const body = `{"model":"m","messages":[{"role":"user","content":${content}}]}`
  return [{ request: { id: id.toWellFormed(), body }, bytes: Buffer.from([id, other, text].map(cell).join(",")) }]
}
