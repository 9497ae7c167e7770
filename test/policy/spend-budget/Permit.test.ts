import { assert, describe, it } from "@effect/vitest"
import { Exit } from "effect"
import { AiError, type Response } from "effect/ai"
import { Ledger } from "../../../src/policy/spend-budget/Ledger.ts"
import { Permit } from "../../../src/policy/spend-budget/Permit.ts"
import { AnswerLength } from "../../../src/core/call/TokenEstimate.ts"

const price = { input: 10, output: 1, cachedInput: 1 }

const permitOf = (known: { readonly inputTokens?: number; readonly maxOutputTokens?: number } = {}) => {
  const ledger = new Ledger({ tokens: Infinity, money: Infinity }, 3_600_000)
  const attempted = { key: "a", price, inputTokens: 2, maxOutputTokens: Infinity, ...known }
  return { ledger, permit: new Permit(ledger, attempted, new AnswerLength(), 0) }
}

type Parts = ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>

const bookedOf = (exit: Exit.Exit<unknown, unknown>, parts: Parts = [], maxOutputTokens = Infinity) => {
  const { permit } = permitOf({ maxOutputTokens })
  permit.see(parts)
  return permit.release(exit, 0)?.tokens
}

const failed = (reason: AiError.AiErrorReason) => Exit.fail(AiError.make({ module: "test", method: "call", reason }))

const lost = (code: string, reason: AiError.NetworkError["reason"] = "TransportError") =>
  failed(
    new AiError.NetworkError({ reason, method: "POST", url: "", cause: Object.assign(new Error("read"), { code }) })
  )

describe("What an attempt cost", () => {
  it("is nothing below zero for a provider that counts only what it read from its cache", () => {
    const { permit } = permitOf({ inputTokens: 0 })
    const usage = { inputTokens: { cacheRead: 500 }, outputTokens: { total: 1 } }
    permit.see([{ type: "finish", reason: "stop", usage, response: undefined }])
    assert.strictEqual(permit.release(Exit.void, 0)?.money, 501 / 1e6)
  })

  it.each(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET", "ETIMEDOUT", "UND_ERR_HEADERS_TIMEOUT"])(
    "is its prompt when the connection was lost before anything arrived: %s",
    (code) => assert.strictEqual(bookedOf(lost(code)), 2)
  )

  it.each(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "UND_ERR_CONNECT_TIMEOUT", "ProxyRefused"])(
    "is nothing when no connection was made: %s",
    (code) => assert.strictEqual(bookedOf(lost(code)), undefined)
  )

  it("is nothing when the request could not be written", () => {
    assert.strictEqual(bookedOf(lost("ERR_INVALID_CHAR", "EncodeError")), undefined)
  })

  it("is its prompt when what came was no answer", () => {
    assert.strictEqual(bookedOf(failed(new AiError.InvalidResponseError({ description: "HTML" }))), 2)
  })

  it("is its prompt and what had arrived when it was cut, and no more than the longest answer", () => {
    const parts: Parts = [{ type: "text-delta", id: "t", delta: "x".repeat(400) }]
    assert.strictEqual(bookedOf(lost("ECONNRESET"), parts), 2 + 100)
    assert.strictEqual(bookedOf(lost("ECONNRESET"), parts, 30), 2 + 30)
    assert.strictEqual(bookedOf(Exit.interrupt(1), parts, 30), 2 + 30)
  })

  it("counts the parameters of a tool call once, in pieces or whole, and a file", () => {
    const params = { query: "x".repeat(88) } // 100 characters as JSON
    const delta = JSON.stringify(params)
    const pieces: Parts = [{ type: "tool-params-delta", id: "c", delta }]
    const whole: Parts = [{ type: "tool-call", id: "c", name: "find", params, providerExecuted: false }]
    const file: Parts = [{ type: "file", mediaType: "image/png", data: "" }]
    for (const parts of [pieces, whole, [...pieces, ...whole]]) assert.strictEqual(bookedOf(Exit.void, parts), 2 + 25)
    assert.strictEqual(bookedOf(Exit.void, file), 2 + 1_000)
  })

  it("is expected to be no more than its prompt and the longest answer", () => {
    const refusedAfter = (maxOutputTokens: number) => {
      const ledger = new Ledger({ tokens: 12, money: Infinity }, 3_600_000)
      const permit = new Permit(ledger, { key: "a", price, inputTokens: 2, maxOutputTokens }, new AnswerLength(), 0)
      const refusal = ledger.refusal("a", 0)
      permit.release(lost("ECONNREFUSED"), 0)
      assert.strictEqual(ledger.refusal("a", 0), undefined)
      return refusal?.spent
    }
    assert.deepStrictEqual([refusedAfter(5), refusedAfter(10), refusedAfter(Infinity)], [undefined, 12, 502])
  })
})
