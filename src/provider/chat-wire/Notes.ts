/**
 * Notes, in the metadata of an answer's parts, what its server may want back in the next turn, and reads it when that is written.
 *
 * The notes say who spoke: what one server gave another would refuse.
 */
import { Predicate, type Schema } from "effect"
import * as Dialects from "./Dialects.ts"
import type { Fields } from "./Extras.ts"

/** Whom a prompt is written for. */
export interface Reader {
  /** The provider, whose options of messages and parts are written into them, and who is given back what it said itself. */
  readonly name: string
  readonly dialect: Pick<Dialects.Resolved, "needs" | "takesBack" | "toolIds">
}

/** What is noted of one part. */
export interface Note {
  /** The field that its text came in. */
  readonly field?: Dialects.BackField | undefined
  /** The part that its thinking came in, without the text. */
  readonly frame?: Fields | undefined
  /** The id of a tool call as the server gave it, where it had to be another, or where other servers may refuse it. */
  readonly id?: string | undefined
  /** Fields of a tool call that have no place in its part. */
  readonly call?: Fields | undefined
  /** Fields of the whole message: one of its parts carries them. */
  readonly message?: Fields | undefined
}

/** Metadata with a note, unless it says nothing. */
export const metadataOf = (
  note: Note,
  from: string
): { readonly metadata?: { readonly chatWire: { [name: string]: Schema.Json } } } => {
  const said: { [name: string]: Schema.Json } = {}
  if (note.field !== undefined) said["field"] = note.field
  if (isSaid(note.frame)) said["frame"] = note.frame
  if (note.id !== undefined) said["id"] = note.id
  if (isSaid(note.call)) said["call"] = note.call
  if (isSaid(note.message)) said["message"] = note.message
  return Object.keys(said).length === 0 ? {} : { metadata: { chatWire: { from, ...said } } }
}

/** Those of a message's unknown fields that some server wants back. */
export const messageOf = (extras: Fields): Fields => {
  const back: Fields = {}
  for (const name in extras) {
    const value = extras[name]
    if (value !== undefined && isBack(name)) back[name] = joined(value)
  }
  return back
}

/** The field that a part came in, whoever said it. */
export const fieldIn = (metadata: unknown): Dialects.BackField | undefined => {
  const field = noteIn(metadata)["field"]
  return Predicate.isString(field) && isBack(field) ? field : undefined
}

/** The part that thinking came in, without the text, whoever said it. */
export const frameIn = (metadata: unknown): Fields | undefined => {
  const { frame } = noteIn(metadata)
  // A note is JSON.
  return Predicate.isObject(frame) ? (frame as Fields) : undefined
}

/** Fields of a tool call that have no place in its part. */
export const callIn = (metadata: unknown): object => {
  const { call } = noteIn(metadata)
  return Predicate.isObject(call) ? call : {}
}

const noteIn = (metadata: unknown): { readonly [name: string]: unknown } => {
  const note = Predicate.hasProperty(metadata, "chatWire") ? metadata.chatWire : undefined
  return Predicate.isObject(note) ? note : {}
}

/** What was noted of a part, as far as it goes back to whom the prompt is written for. */
export const of = (options: unknown, { dialect, name }: Reader): Note => {
  const note = noteIn(options)
  if (note["from"] !== name) return none
  const takes = (field: string): boolean => dialect.takesBack.some((each) => each === field)
  const field = fieldIn(options)
  return {
    field: field !== undefined && takes(field) ? field : undefined,
    frame: takes("thinking") ? frameIn(options) : undefined,
    id: Predicate.isString(note["id"]) ? note["id"] : undefined,
    call: taken(note["call"], takes),
    message: taken(note["message"], takes)
  }
}

const none: Note = {}

const isSaid = (fields: Fields | undefined): fields is Fields => fields !== undefined && Object.keys(fields).length > 0

const isBack = (name: string): name is Dialects.BackField => Dialects.backFields.some((each) => each === name)

const taken = (fields: unknown, takes: (name: string) => boolean): Fields =>
  Predicate.isObject(fields)
    ? // A prompt's options are JSON.
      (Object.fromEntries(Object.entries(fields).filter(([name]) => takes(name))) as Fields)
    : {}

/** As {@link joinedList}, also for the lists in an object. */
const joined = (value: Schema.Json): Schema.Json => {
  if (Array.isArray(value)) return joinedList(value as ReadonlyArray<Schema.Json>)
  if (!Predicate.isObject(value)) return value
  const fields = Object.entries(value as Fields)
  return Object.fromEntries(
    fields.map(([name, field]) => [
      name,
      Array.isArray(field) ? joinedList(field as ReadonlyArray<Schema.Json>) : field
    ])
  )
}

/**
 * A list that came in pieces has one item for each: those with the same index and type are one, and, without an index, texts that
 * follow each other until one is signed.
 */
const joinedList = (value: ReadonlyArray<Schema.Json>): Schema.Json => {
  const items: Array<Schema.Json> = []
  const begun = new Map<string, Fields>()
  let last: Fields | undefined
  for (const item of value) {
    if (!isFields(item)) {
      items.push(item)
      last = undefined
      continue
    }
    const key = keyOf(item)
    const before = key === undefined ? (last !== undefined && isRest(last, item) ? last : undefined) : begun.get(key)
    if (before === undefined) {
      last = { ...item }
      if (key !== undefined) begun.set(key, last)
      items.push(last)
    } else goOn(before, item)
  }
  return items
}

const goOn = (before: Fields, item: Fields): void => {
  for (const [name, piece] of Object.entries(item)) {
    // It would become what the item is made of.
    if (name === "__proto__") continue
    const text = before[name]
    if (texts.has(name) && Predicate.isString(text) && Predicate.isString(piece)) before[name] = text + piece
    else if (Predicate.isNotNullish(piece) && piece !== "") before[name] = piece
  }
}

const isFields = (item: Schema.Json): item is Fields => Predicate.isObject(item)

const keyOf = ({ index, type }: Fields): string | undefined =>
  Predicate.isNumber(index) && Predicate.isString(type) ? `${index} ${type}` : undefined

const isRest = (before: Fields, { id, index, type }: Fields): boolean =>
  Predicate.isString(type) &&
  unnumbered.has(type) &&
  before["type"] === type &&
  !Predicate.isNumber(index) &&
  !Predicate.isNumber(before["index"]) &&
  (!Predicate.isNotNullish(id) || id === before["id"]) &&
  (!Predicate.isString(before["signature"]) || before["signature"] === "")

/** Types of items that some servers send in pieces without an index. */
const unnumbered = new Set(["thinking", "reasoning.text"])

const texts = new Set(["text", "thinking", "summary", "data"])
