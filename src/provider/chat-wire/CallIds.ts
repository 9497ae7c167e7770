/**
 * Gives tool calls and their results ids that a server takes, the same for both, in this request and in later ones.
 */
import { hash } from "node:crypto"
import type * as Dialects from "./Dialects.ts"

type Kind = Dialects.Resolved["toolIds"]

/** What servers ask of an id. What no server refuses is `words`: OpenAI once took at most 40 characters, Anthropic takes no others. */
const rules: { readonly [K in Kind]: { readonly pattern: RegExp; readonly length: number } } = {
  any: { pattern: /^/, length: Infinity },
  own: { pattern: /^[a-zA-Z0-9_-]{1,40}$/, length: 40 },
  words: { pattern: /^[a-zA-Z0-9_-]{1,40}$/, length: 40 },
  nine: { pattern: /^[a-zA-Z0-9]{9}$/, length: 9 }
}

/** Whether every server takes an id, but those that ask for a length. */
export const isPlain = (id: string): boolean => rules.own.pattern.test(id)

/** The ids of one request. */
export class CallIds {
  private readonly kind: Kind
  private readonly sent = new Map<string, string>()
  private readonly taken = new Set<string>()

  constructor(kind: Kind) {
    this.kind = kind
  }

  /** The id to send for one of the prompt's. `given` is the one that the server itself gave its call, if it did. */
  of(id: string, given?: string): string {
    const known = this.sent.get(id)
    if (known !== undefined) return known
    const { length, pattern } = rules[this.kind]
    const isOwn = this.kind === "own" && given === id
    let sent = isOwn || pattern.test(id) ? id : shortened(id, length)
    // Nine letters are few: another id may have become the same.
    for (let n = 1; this.taken.has(sent); n++) sent = shortened(`${id}\n${n}`, length)
    this.sent.set(id, sent)
    this.taken.add(sent)
    return sent
  }
}

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

const shortened = (id: string, length: number): string => {
  const bytes = hash("sha512", id, "buffer")
  let text = ""
  for (const byte of bytes.subarray(0, Math.min(length, bytes.length))) text += alphabet[byte % alphabet.length]
  return text
}
