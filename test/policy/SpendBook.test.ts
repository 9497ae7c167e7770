import { assert, describe, it } from "@effect/vitest"
import { Exit } from "effect"
import { Book, Entry } from "../../src/policy/spend-budget/Ledger.ts"
import { AnswerLength } from "../../src/core/call/TokenEstimate.ts"

const kept = 100_000
const nothing = { tokens: 0, money: 0 }

const spend = (book: Book, key: string) => {
  book.begin(key, 0, nothing)
  book.end(key, 0, nothing, { tokens: 1, money: 0, estimated: false })
}

const bookOf = (keys: number) => {
  const book = new Book({ tokens: Infinity, money: Infinity }, 3_600_000)
  for (let key = 0; key < keys; key++) spend(book, String(key))
  return book
}

describe("What an attempt cost", () => {
  it("is nothing below zero for a provider that counts only what it read from its cache", () => {
    const book = bookOf(0)
    const entry = new Entry(book, "a", { input: 10, output: 1, cachedInput: 1 }, 0, new AnswerLength(), 0)
    const usage = { inputTokens: { cacheRead: 500 }, outputTokens: { total: 1 } }
    entry.see([{ type: "finish", reason: "stop", usage, response: undefined }])
    assert.strictEqual(entry.close(Exit.void, 0)?.money, 501 / 1e6)
  })
})

const isKnown = (book: Book, key: string | number) => book.spent(String(key), 0).tokens > 0

describe("What keys have spent, of more of them than are kept,", () => {
  // They take a second; looking through all accounts for each new one would take a quarter of an hour.
  it("is kept of those that spent last", () => {
    const keys = 300_000
    const book = bookOf(keys)
    assert.deepStrictEqual([isKnown(book, keys - kept - 1), isKnown(book, keys - kept)], [false, true])
    assert.strictEqual(book.health(0).keys.length, kept)
  })

  it("is kept of one that is still used", () => {
    const book = bookOf(kept)
    spend(book, "0")
    spend(book, "new")
    assert.deepStrictEqual([isKnown(book, 0), isKnown(book, 1), isKnown(book, "new")], [true, false, true])
  })

  it("is kept of one that has a call in flight", () => {
    const book = bookOf(0)
    book.begin("0", 0, { tokens: 5, money: 0 })
    for (let key = 1; key <= 2 * kept; key++) spend(book, String(key))
    book.end("0", 0, { tokens: 5, money: 0 }, { tokens: 7, money: 0, estimated: false })
    assert.strictEqual(book.spent("0", 0).tokens, 7)
  })

  it("does not go for those that spend nothing", () => {
    const book = bookOf(kept)
    for (let key = 0; key < kept; key++) {
      book.spent(`asks ${key}`, 0)
      book.begin(`fails ${key}`, 0, nothing)
      book.end(`fails ${key}`, 0, nothing, undefined)
    }
    assert.isAtLeast(book.health(0).keys.length, kept - 1)
  })
})
