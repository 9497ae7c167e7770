import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ChatWire } from "holdfast/provider"
import * as RequestKey from "../../../src/core/call/RequestKey.ts"
import * as OptionCheck from "../../../src/core/OptionCheck.ts"
import * as Server from "../../../src/provider/chat-wire/Server.ts"
import { request } from "../../../src/testing/provider-contract/Stage.ts"

const at = (baseUrl: string, more: Partial<ChatWire.Options> = {}) =>
  ChatWire.provider({ baseUrl, model: "default", ...more })

describe("the name of a server that nobody named", () => {
  it.each([
    ["https://api.openai.com/v1", "openai"],
    ["https://acme.openai.azure.com/openai/deployments/a", "azure"],
    ["https://llm.acme.test/v1", "llm.acme.test"],
    ["https://llm.acme.test/v1/chat/completions", "llm.acme.test"],
    ["https://llm.acme.test:443", "llm.acme.test"],
    ["http://llm.acme.test:80/v1/", "llm.acme.test"],
    ["http://127.0.0.1:8000/v1", "127.0.0.1:8000"],
    ["http://[::1]:8001/v1", "[::1]:8001"],
    ["https://user:secret@llm.acme.test/team-a/v1?key=secret", "llm.acme.test/team-a/v1"]
  ])("%s: %s", (baseUrl, name) => {
    assert.strictEqual(at(baseUrl).name, name)
    assert.strictEqual(ChatWire.raw({ baseUrl }).name, name)
  })

  it.effect.each([
    ["another port", "http://127.0.0.1:8000/v1", "http://127.0.0.1:8001/v1"],
    ["another path", "https://llm.acme.test/a/v1", "https://llm.acme.test/b/v1"],
    ["another resource", "https://a.openai.azure.com/openai/v1", "https://b.openai.azure.com/openai/v1"],
    [
      "another deployment",
      "https://a.openai.azure.com/openai/deployments/x",
      "https://a.openai.azure.com/openai/deployments/y"
    ]
  ] as const)("keeps answers apart: %s", ([, one, other]) =>
    Effect.gen(function* () {
      const keyOf = (baseUrl: string, more?: Partial<ChatWire.Options>) =>
        Effect.flatMap(request("hi"), (asked) => RequestKey.keyOf(at(baseUrl, more), asked))
      assert.notStrictEqual(yield* keyOf(one), yield* keyOf(other))
      const name = "mine"
      assert.strictEqual(yield* keyOf(one, { name }), yield* keyOf(other, { name }))
    })
  )
})

it.each(["user:secret", ":secret", "user:"])("%s in the address is basic authorization", (credentials) => {
  const server = Server.make({ baseUrl: `https://${credentials}@llm.acme.test/v1` }, OptionCheck.of("Test"))
  assert.strictEqual(Server.authorize(server, "bearer").headers.get("authorization"), `Basic ${btoa(credentials)}`)
})
