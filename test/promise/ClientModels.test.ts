/** Which model a client calls, by a text, and what it sends there. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { afterEach, assert, describe, it, vi } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { Client } from "holdfast/promise"
import { ChatWire } from "holdfast/provider"
import { FaultyServer } from "holdfast/testing"

const serving = async (use: (server: FaultyServer.FaultyServer) => Promise<void>) => {
  const scope = Scope.makeUnsafe()
  try {
    await use(
      await Effect.runPromise(Scope.provide(FaultyServer.make({ script: [{ content: [{ text: "Kelp." }] }] }), scope))
    )
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

const lastOf = ({ seen }: FaultyServer.FaultyServer) => {
  const request = seen.log.at(-1)?.request
  assert.isDefined(request)
  const { body, headers } = request
  return { model: (body as { readonly model: string }).model, key: headers["authorization"] }
}

describe("a model", () => {
  afterEach(() => void vi.unstubAllEnvs())

  it("has its key and address from the environment, by the name in front", () =>
    serving(async (server) => {
      vi.stubEnv("OPENAI_API_KEY", "sk-of-openai")
      vi.stubEnv("OPENAI_BASE_URL", `${server.origin}/v1`)
      await using client = Client.make({ model: "openai/gpt-5-mini" })
      const { text, trail } = await client.generate("?")
      assert.strictEqual(text, "Kelp.")
      assert.deepStrictEqual(lastOf(server), { model: "gpt-5-mini", key: "Bearer sk-of-openai" })
      assert.strictEqual(trail.attempts[0]?.provider, "openai")
    }))

  it("may have any name that the environment has an address for", () =>
    serving(async (server) => {
      vi.stubEnv("MY_LAB_BASE_URL", `${server.origin}/v1`)
      await using client = Client.make({ model: "my-lab/org/model-1" })
      await client.generate("?")
      assert.deepStrictEqual(lastOf(server), { model: "org/model-1", key: undefined })
    }))

  it("has the name that the server knows, with baseUrl, and no key of the environment's", () =>
    serving(async (server) => {
      vi.stubEnv("OPENAI_API_KEY", "sk-of-openai")
      const baseUrl = `${server.origin}/v1`
      await using client = Client.make({ model: "openai/gpt-5-mini", baseUrl })
      await client.generate("?")
      assert.deepStrictEqual(lastOf(server), { model: "openai/gpt-5-mini", key: undefined })
      await using keyed = Client.make({ model: "m", baseUrl, apiKey: "sk-own" })
      await keyed.generate("?")
      assert.deepStrictEqual(lastOf(server), { model: "m", key: "Bearer sk-own" })
    }))

  it("may be one of the AI SDK, or a provider", () =>
    serving(async (server) => {
      const baseURL = `${server.origin}/v1`
      const compatible = createOpenAICompatible({ name: "lab", baseURL, apiKey: "none" })
      const wire = ChatWire.provider({ baseUrl: baseURL, model: "w" })
      await using client = Client.make({ models: { sdk: compatible("s"), wire } })
      for (const model of ["sdk", "wire"]) {
        assert.strictEqual((await client.generate("?", { model })).text, "Kelp.")
        assert.strictEqual(await client.stream("?", { model }).response.then(({ text }) => text), "Kelp.")
      }
    }))

  it("is asked with the settings of the call", () =>
    serving(async (server) => {
      await using client = Client.make({ model: "m", baseUrl: `${server.origin}/v1` })
      await client.generate("?", { temperature: 0, maxOutputTokens: 9 })
      assert.deepInclude(server.seen.log.at(-1)?.request.body, { temperature: 0, max_tokens: 9 })
    }))
})
