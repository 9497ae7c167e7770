// Any server that speaks chat completions as a provider: generate, stream, and what goes over the wire.
// prints: mine kelp-1
// prints: POST /v1/chat/completions, authorization: <masked>
// prints: stop
// prints: stop (streamed)
import { Console, Effect, Stream } from "effect"
import { LanguageModel } from "effect/ai"
import { ChatWire } from "holdfast/provider"
import { FaultyServer } from "holdfast/testing"

const program = Effect.gen(function* () {
  // A real HTTP server in OpenAI's format, so that this runs offline and for free.
  const { origin } = yield* FaultyServer.make()
  const sent: Array<string> = []
  const provider = ChatWire.provider({
    baseUrl: `${origin}/v1`,
    apiKey: "sk-not-a-secret",
    model: "kelp-1",
    name: "mine",
    settings: { maxOutputTokens: 200 },
    log: (entry) => {
      if (entry.event !== "sent") return
      sent.push(`POST ${new URL(entry.url).pathname}, authorization: ${entry.headers["authorization"]}`)
    }
  })
  yield* Console.log(provider.name, provider.model)

  const model = yield* LanguageModel.make({ ...provider })
  const answer = yield* ChatWire.withSettings(model.generateText({ prompt: "When is the tide?" }), { seed: 7 })
  yield* Console.log(sent[0])
  yield* Console.log(answer.finishReason)

  const reason = yield* model.streamText({ prompt: "When is the tide?" }).pipe(
    Stream.runFold(
      () => "",
      (reason, part) => (part.type === "finish" ? part.reason : reason)
    )
  )
  yield* Console.log(`${reason} (streamed)`)
})

await Effect.runPromise(Effect.scoped(program))
