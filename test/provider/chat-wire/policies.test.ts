/** Answers that were taken for what they are not, through `ChatWire` and through the AI SDK bridge, under policies. */
import { createServer, type ServerResponse } from "node:http"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { type AiError, LanguageModel } from "effect/ai"
import { Caller } from "holdfast/core"
import { Model } from "holdfast/model"
import { Fallback, Pipeline, Retry, Timeout } from "holdfast/policy"
import { AiSdk, ChatWire, Fetch, type ModelProvider } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import { listening } from "../../sockets/listening.ts"
import { chunk, completion, done } from "../../sockets/openaiWire.ts"

const ways = {
  ChatWire: (port: number) =>
    ChatWire.provider({ baseUrl: `http://127.0.0.1:${port}/v1`, apiKey: "key", model: "m", name: "m", proxy: false }),
  AiSdk: (port: number) => {
    const options = { name: "m", baseURL: `http://127.0.0.1:${port}/v1`, apiKey: "key", fetch: Fetch.fetch }
    return AiSdk.provider(createOpenAICompatible(options)("m"))
  }
}

type Answering = (response: ServerResponse, times: number, body: string) => void

const serving = (answer: Answering) =>
  Effect.gen(function* () {
    const seen = { times: 0 }
    const server = createServer((asked, response) => {
      const body: Array<Buffer> = []
      asked.on("data", (bytes) => body.push(bytes))
      asked.on("end", () => answer(response, ++seen.times, Buffer.concat(body).toString()))
    })
    return { port: yield* listening(server), seen }
  })

const json =
  (body: unknown, status = 200): Answering =>
  (response) =>
    void response
      .writeHead(status, { "content-type": "application/json" })
      .end(typeof body === "string" ? body : JSON.stringify(body))

const events =
  (...events: ReadonlyArray<string>): Answering =>
  (response) =>
    void response.writeHead(200, { "content-type": "text/event-stream" }).end(events.join(""))

/** What came of a call, in a line. */
const told = (effect: Effect.Effect<string, AiError.AiError, LanguageModel.LanguageModel>) =>
  Effect.catch(effect, ({ reason }) => Effect.succeed(`${reason._tag}`))
const whole = told(Effect.map(LanguageModel.generateText({ prompt: "hi" }), ({ text }) => text))
const streamed = told(
  Effect.map(
    Stream.runFold(
      LanguageModel.streamText({ prompt: "hi" }),
      () => "",
      (text, part) => (part.type === "text-delta" ? text + part.delta : text)
    ),
    (text) => text
  )
)

const under = (provider: ModelProvider.ModelProvider, policies: ReadonlyArray<ModelProvider.Policy>) =>
  Effect.provide(Layer.provideMerge(Model.layer({ provider, policies }), Supervisor.layer()))

const quick = Pipeline.standard({ retry: { base: "1 millis" } })
const once = Pipeline.standard({ retry: false })
const filtered = { error: { code: "content_filter", message: "Response content blocked by label 'Violence'." } }
const failed = { error: { code: 502, message: "Upstream idle timeout exceeded" } }
const choice = (fields: object) => ({ id: "c", choices: [{ index: 0, ...fields }] })

for (const [way, at] of Object.entries(ways)) {
  describe(`through ${way}`, () => {
    it.live("a page is no answer, an error in a good answer is one, and neither is asked for again", () =>
      Effect.gen(function* () {
        const page = yield* serving((response) => {
          response.writeHead(200, { "content-type": "text/html" }).end("<html>login</html>")
        })
        const wanted = ["InvalidResponseError", "InvalidResponseError"]
        assert.deepStrictEqual(yield* Effect.all([whole, streamed]).pipe(under(at(page.port), once)), wanted)
        assert.strictEqual(page.seen.times, 2)
        const code = "insufficient_quota"
        const quota = yield* serving(json({ error: { message: "You exceeded your current quota", type: code, code } }))
        for (const call of [whole, streamed])
          assert.strictEqual(yield* call.pipe(under(at(quota.port), quick)), "QuotaExhaustedError")
        assert.strictEqual(quota.seen.times, 2)
      })
    )

    it.live("a stream whose chunks have an empty finish_reason, or none, and that ends, was cut", () =>
      Effect.gen(function* () {
        for (const finish of ["", null]) {
          const { port } = yield* serving(events(chunk({ content: "Transfer 1,0" }, finish)))
          assert.strictEqual(yield* streamed.pipe(under(at(port), once)), "InternalProviderError")
        }
      })
    )

    it.live("half an answer that says that it failed is none: the spare is asked, unless text was passed on", () =>
      Effect.gen(function* () {
        const spare = yield* serving((response, times, body) =>
          body.includes('"stream":true')
            ? events(chunk({ content: "spare" }), done)(response, times, body)
            : json(completion("spare"))(response, times, body)
        )
        const policies = [Fallback.to(at(spare.port)), Retry.transient({ times: 1, base: "1 millis" })]
        const halves = [
          choice({ message: { role: "assistant", content: "half" }, finish_reason: "error" }),
          { ...choice({ message: { role: "assistant", content: "half" }, finish_reason: "error" }), ...failed },
          choice({ message: { role: "assistant", content: "" }, finish_reason: "error", ...failed })
        ]
        for (const half of halves) {
          const { port } = yield* serving(json(half))
          assert.strictEqual(yield* whole.pipe(under(at(port), policies)), "spare")
        }
        const half = chunk({ content: "half" })
        const ends = [
          chunk({}, "error"),
          `data: ${JSON.stringify(choice({ delta: { content: "" }, finish_reason: "error", ...failed }))}\n\n`,
          `data: ${JSON.stringify({ ...choice({ delta: {}, finish_reason: "error" }), ...failed })}\n\n`
        ]
        for (const end of ends) {
          const { port } = yield* serving(events(half, end, "data: [DONE]\n\n"))
          assert.strictEqual(yield* streamed.pipe(under(at(port), policies)), "InternalProviderError")
        }
      })
    )

    it.live("an answer is complete at [DONE], although the connection stays open", () =>
      Effect.gen(function* () {
        const open = yield* serving((response) => {
          response.writeHead(200, { "content-type": "text/event-stream" })
          response.write(`${chunk({ content: "The whole answer." })}${done}`)
        })
        const spare = yield* serving(events(chunk({ content: " A second one." }), done))
        const limits = Timeout.perAttempt({ headers: "5 seconds", firstToken: "5 seconds", idle: "500 millis" })
        const policies = [Fallback.to(at(spare.port), { midStream: "continue" }), Retry.transient(), limits]
        assert.strictEqual(yield* streamed.pipe(under(at(open.port), policies)), "The whole answer.")
        assert.strictEqual(spare.seen.times, 0)
      })
    )

    it.live("a refusal that is a completion filtered is a matter of its content", () =>
      Effect.gen(function* () {
        const body = choice({
          message: { content: "" },
          finish_reason: "content_filter",
          content_filter_results: filtered
        })
        const { port, seen } = yield* serving(json(body, 400))
        assert.strictEqual(yield* whole.pipe(under(at(port), quick)), "ContentPolicyError")
        assert.strictEqual(seen.times, 1)
      })
    )

    it.live.each(["insufficient funds.", "throw new Error('api key expired')", "the file was written"])(
      "an error that quotes the model decides nothing by the quoted words, and is tried again: %s",
      (wrote) =>
        Effect.gen(function* () {
          const message = `error parsing tool call: raw='{"content":"${wrote}"}]', err=invalid character ']'`
          const { port, seen } = yield* serving((response, times, body) =>
            times === 1
              ? json({ error: { message, type: "api_error", param: null, code: null } }, 500)(response, times, body)
              : json(completion("ok"))(response, times, body)
          )
          assert.strictEqual(yield* whole.pipe(under(at(port), quick)), "ok")
          assert.strictEqual(seen.times, 2)
        })
    )

    it.live.each([301, 302, 303, 307, 308])("a redirect is not followed: %s", (status) =>
      Effect.gen(function* () {
        const other = yield* serving(json(completion("from elsewhere")))
        const { port, seen } = yield* serving(
          (response) => void response.writeHead(status, { location: `http://localhost:${other.port}/v1/x` }).end()
        )
        for (const call of [whole, streamed])
          assert.notInclude(["from elsewhere", ""], yield* call.pipe(under(at(port), once)))
        assert.deepStrictEqual([seen.times, other.seen.times], [2, 0])
      })
    )

    it.live.each(["credit balance is too low", "no api key", "limit: 0", "monthly limit"])(
      "one tenant's words in an error close the model for no other: %s",
      (words) =>
        Effect.gen(function* () {
          const { port } = yield* serving((response, times, body) => {
            const message = `Invalid value: ${words}. Supported values are: 'a' and 'b'.`
            const error = { message, type: "invalid_request_error", param: "messages[0].name", code: "invalid_value" }
            return json(times === 1 ? { error } : completion("hi"), times === 1 ? 400 : 200)(response, times, body)
          })
          const both = Effect.all([Caller.as({ tenant: "mallory" })(whole), Caller.as({ tenant: "bob" })(whole)])
          assert.deepStrictEqual(yield* both.pipe(under(at(port), Pipeline.standard())), ["InvalidRequestError", "hi"])
        })
    )
  })
}
