import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { Response } from "effect/ai"
import { WireBytes } from "holdfast/core"
import type { ModelProvider } from "holdfast/provider"
import * as Sending from "../../../../src/cli/batch/send/Sending.ts"

const request = {
  customId: "a",
  line: 1,
  path: "/chat/completions",
  model: "m",
  body: Buffer.from('{"n":12345678901234567890}'),
  tokens: 1
}
const usage = { inputTokens: { total: 3, cacheRead: 1 }, outputTokens: { total: 2 } }

const answering = (
  answer: (sent: Uint8Array | undefined) => Array<Response.PartEncoded>
): ModelProvider.ModelProvider => ({
  name: "mine",
  model: "m",
  generateText: () => Effect.withFiber((fiber) => Effect.succeed(answer(fiber.getRef(WireBytes.Current)?.body))),
  streamText: () => Stream.empty
})

it.effect(
  "gives the bytes of the answer that a server wrote, and a completion that says what another provider did",
  () =>
    Effect.gen(function* () {
      const parts = (): Array<Response.PartEncoded> => [
        { type: "response-metadata", modelId: "kelp-1" },
        { type: "text", text: "Kelp." },
        { type: "finish", reason: "stop", usage, response: undefined }
      ]
      const bytes = Buffer.from('{ "id":12345678901234567890 }')
      const own = answering((sent) => {
        assert.strictEqual(sent, request.body)
        const all = parts()
        new WireBytes.Recorder().read(bytes, all)
        return all
      })
      const first = yield* Sending.send(own, request, undefined)
      assert.strictEqual(first.body, bytes)
      assert.deepInclude(first, { model: "kelp-1", inputTokens: 3, cachedTokens: 1, outputTokens: 2 })
      const { body } = yield* Sending.send(answering(parts), request, undefined)
      assert.deepStrictEqual(JSON.parse(Buffer.from(body).toString("utf8")), {
        object: "chat.completion",
        model: "kelp-1",
        choices: [{ index: 0, message: { role: "assistant", content: "Kelp." }, finish_reason: "stop" }],
        usage: {
          prompt_tokens: 3,
          completion_tokens: 2,
          total_tokens: 5,
          prompt_tokens_details: { cached_tokens: 1 }
        }
      })
    })
)
