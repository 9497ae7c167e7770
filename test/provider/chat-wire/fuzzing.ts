/**
 * Tries to break the reading of answers with random bytes, random JSON, recorded answers that are cut, changed and split
 * anywhere, and answers that grow: each has to be read or refused with one of the known faults, in time that grows with
 * the bytes.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { AiError } from "effect/ai"
import type { Chance } from "../../../src/testing/seed/Chance.ts"
import { TooLarge } from "../../../src/provider/http/Exchange.ts"
import * as Faults from "../../../src/provider/chat-wire/Faults.ts"
import { EventTooLarge } from "../../../src/provider/http/Sse.ts"
import { StreamShape } from "holdfast/testing"
import { begin, chunks, cut, read, recorded, type Recorded, stream, whole } from "./answers.ts"

const known = [
  AiError.InvalidOutputError,
  Faults.Refused,
  Faults.Unreadable,
  Faults.BeyondLimit,
  Faults.Cut,
  EventTooLarge,
  TooLarge
]

/** What an input did: was read, or was refused; or what is wrong about that. */
export const outcome = (pieces: ReadonlyArray<Buffer>): "read" | "refused" | string => {
  try {
    const parts = read(pieces, { maxEventSize: 1 << 20 })
    return StreamShape.malformation(parts) ?? "read"
  } catch (error) {
    return known.some((fault) => error instanceof fault) ? "refused" : `threw ${String(error)}`
  }
}

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

/** Bytes that an answer holds when all of it has come and its end has not, besides what came. */
export const held = (pieces: ReadonlyArray<Buffer>): number => {
  const now = () => {
    collect()
    const { arrayBuffers, heapUsed } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const before = now()
  const reading = begin({ maxEventSize: 1 << 26, maxToolCalls: 1 << 20 })
  try {
    // What a socket brings nobody else holds.
    for (const piece of pieces) reading.feed(Buffer.from(piece))
  } catch {
    // A refused answer holds what it was refused with.
  }
  const after = now()
  reading.end()
  return after - before
}

const words = ["id", "choices", "delta", "message", "content", "tool_calls", "function", "name", "arguments", "index"]
const more = [
  "finish_reason",
  "thinking",
  "thinking_blocks",
  "signature",
  "usage",
  "error",
  "logprobs",
  "reasoning",
  "images",
  "image_url",
  "__proto__",
  "toString",
  ""
]

const names = [...words, ...more]
const nothing: Recorded = { name: "nothing", message: {}, finish: "stop" }

/** A random JSON value that is likely to have fields that are read. */
export const json = (chance: Chance, depth = 0): unknown => {
  switch (chance.below(depth > 5 ? 6 : 9)) {
    case 0:
      return null
    case 1:
      return chance.below(2) === 0
    case 2:
      return chance.below(1_000) - 500
    case 3:
      return chance.oneOf([
        "stop",
        "tool_calls",
        "error",
        "",
        'a"b',
        "\ud800",
        "text",
        "thinking",
        "data:image/png;base64,aa"
      ])
    case 4:
      return 1e308 * chance.next()
    case 5:
      return "x".repeat(chance.below(50))
    case 6:
      return Array.from({ length: chance.below(4) }, () => json(chance, depth + 1))
    default: {
      const value: Array<readonly [string, unknown]> = []
      for (let field = chance.below(6); field >= 0; field--) {
        value.push([names[chance.below(names.length)] ?? "", json(chance, depth + 1)])
      }
      return Object.fromEntries(value)
    }
  }
}

const bytes = (chance: Chance, length: number): Buffer => Buffer.from(Array.from({ length }, () => chance.below(256)))

/** One random input, in pieces. */
export const input = (chance: Chance): ReadonlyArray<Buffer> => {
  const answer = recorded[chance.below(recorded.length)] ?? nothing
  const text = () => (chance.below(2) === 0 ? JSON.stringify(whole(answer)) : stream(chunks(answer, chance), chance))
  const made = (): Buffer => {
    switch (chance.below(6)) {
      case 0:
        return bytes(chance, chance.below(400))
      case 1:
        return Buffer.from(JSON.stringify(json(chance)))
      case 2:
        return Buffer.from(
          stream(
            Array.from({ length: 1 + chance.below(5) }, () => json(chance)),
            chance
          )
        )
      case 3: {
        const all = Buffer.from(text())
        return all.subarray(0, chance.below(all.length))
      }
      case 4: {
        const all = Buffer.from(text())
        for (let times = 1 + chance.below(4); times > 0; times--) all[chance.below(all.length)] = chance.below(256)
        return all
      }
      default: {
        const choices = [{ index: 0, delta: json(chance), message: json(chance), finish_reason: json(chance) }]
        return Buffer.from(stream([{ choices, usage: json(chance) }, ...chunks(answer, chance)], chance))
      }
    }
  }
  return cut(made(), chance, chance.oneOf([1, 3, 50, 100_000]))
}

const lastEvents = 'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

/** Inputs that grow, each by its size in bytes: shapes that have cost more than their size somewhere. */
export const growing: Readonly<Record<string, (size: number) => ReadonlyArray<Buffer>>> = {
  "one long line in small reads": (size) => cutEvenly(`data: ${"x".repeat(size)}`, 512),
  "one long event of short lines": (size) => cutEvenly("data: x\n".repeat(size / 8), 4_096),
  "nothing but CR": (size) => cutEvenly("\r".repeat(size), 65_536),
  "events whose lines end with LF CR LF": (size) => cutEvenly("data: {}\n\r\n".repeat(size / 11), 4_096),
  "lines that end in every way": (size) => cutEvenly("data: {}\r: x\n\r\n\r".repeat(size / 17), 512),
  "comments in front of an answer": (size) => cutEvenly(`${": ping\r\n\n".repeat(size / 9)}{}`, 512),
  "an answer that waits for the first choice": (size) =>
    cutEvenly('data: {"choices":[{"index":1,"delta":{"content":"x"}}]}\n\n'.repeat(size / 58), 512),
  "events without empty lines": (size) => cutEvenly("data: {}\n".repeat(size / 9), 4_096),
  "quotes in a page of JSON": (size) => cutEvenly(`["${'\\"'.repeat(size / 2)}`, 65_536),
  brackets: (size) => cutEvenly("[".repeat(size / 2) + "]".repeat(size / 2), 65_536),
  "tool calls": (size) => {
    const each = (index: number) =>
      `data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":${index},"id":"same","function":{"name":"t","arguments":"{}"}}]}}]}\n\n`
    return cutEvenly(Array.from({ length: size / 130 }, (_, index) => each(index)).join(""), 65_536)
  },
  "a tool call that is whole, and pieces without text": (size) => {
    const piece = (text: string) =>
      `data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"t","arguments":${JSON.stringify(text)}}}]}}]}\n\n`
    return cutEvenly(piece(`{"a":"${"x".repeat(size / 2)}"}`) + piece("").repeat(size / 200), 65_536)
  },
  "texts full of quotes": (size) => {
    const each = `data: {"choices":[{"index":0,"delta":{"content":"${'\\"'.repeat(1_500)}"}}]}\n\n`
    return cutEvenly(each.repeat(size / each.length), 65_536)
  },
  "parts of thinking in lists of content": (size) => {
    const piece = `data: {"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"x"}]}]}}]}\n\n`
    return cutEvenly(piece.repeat(size / piece.length) + lastEvents, 65_536)
  },
  "parts of thinking, each signed": (size) => {
    const piece = `data: {"choices":[{"delta":{"content":[{"type":"thinking","thinking":"x","signature":"s"}]}}]}\n\n`
    return cutEvenly(piece.repeat(size / piece.length) + lastEvents, 65_536)
  },
  "one list of many parts of thinking": (size) => {
    const part = '{"type":"thinking","thinking":"x","other":["y"]},'
    const parts = part.repeat(size / part.length).slice(0, -1)
    return cutEvenly(`{"choices":[{"message":{"content":[${parts}]},"finish_reason":"stop"}]}`, 65_536)
  },
  "one part with many pieces of thinking": (size) => {
    const pieces = '{"type":"text","text":"x"},{"type":"reference","id":1},'.repeat(size / 54).slice(0, -1)
    const content = `[{"type":"thinking","thinking":[${pieces}]}]`
    return cutEvenly(`{"choices":[{"message":{"content":${content}},"finish_reason":"stop"}]}`, 65_536)
  },
  "blocks of thinking beside the text": (size) => {
    const piece = `data: {"choices":[{"delta":{"thinking_blocks":[{"type":"thinking","thinking":"xx"}]}}]}\n\n`
    return cutEvenly(piece.repeat(size / piece.length) + lastEvents, 65_536)
  },
  "usage that counts something else in each chunk": (size) =>
    cutEvenly(
      repeated(size, (at) => `data: {"choices":[],"usage":{"a":{"f${at}":1},"f${at}":1}}\n\n`),
      65_536
    ),
  "usage of many fields, and chunks that say some of it again": (size) => {
    const usage = Object.fromEntries(Array.from({ length: size / 32 }, (_, at) => [`f${at}`, 1]))
    const again = 'data: {"choices":[],"usage":{"f1":2}}\n\n'.repeat(size / 80)
    return cutEvenly(`data: ${JSON.stringify({ choices: [], usage })}\n\n${again}`, 65_536)
  },
  "a part of thinking that says more in each piece": (size) => {
    const piece = (at: number) =>
      `data: {"choices":[{"delta":{"content":[{"type":"thinking","thinking":"x","f${at}":1}]}}]}\n\n`
    return cutEvenly(repeated(size, piece) + lastEvents, 65_536)
  },
  "a message of many fields, and another in each chunk": (size) => {
    const delta = Object.fromEntries(Array.from({ length: size / 32 }, (_, at) => [`f${at}`, 1]))
    const again = 'data: {"choices":[{"message":{"content":"x"}}]}\n\n'.repeat(size / 96)
    return cutEvenly(`data: ${JSON.stringify({ choices: [{ delta }] })}\n\n${again}`, 65_536)
  },
  "a word for the end with much space in it": (size) =>
    cutEvenly(`{"choices":[{"message":{},"finish_reason":"a${" ".repeat(size)}b:"}]}`, 65_536),
  "a whole answer, byte by byte": (size) =>
    cutEvenly(`{"choices":[{"message":{"content":"${"x".repeat(size / 4)}"},"finish_reason":"stop"}]}`, 1),
  "a field that grows": (size) =>
    cutEvenly('data: {"choices":[{"delta":{"other":"xxxx"}}]}\n\n'.repeat(size / 48), 65_536)
}

const repeated = (size: number, piece: (at: number) => string): string =>
  Array.from({ length: size / piece(1_000).length }, (_, at) => piece(at)).join("")

const cutEvenly = (text: string, every: number): ReadonlyArray<Buffer> => {
  const all = Buffer.from(text)
  return Array.from({ length: Math.ceil(all.length / every) }, (_, index) =>
    all.subarray(index * every, (index + 1) * every)
  )
}
