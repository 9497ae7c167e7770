import { createServer as createRaw, type Socket } from "node:net"
import { createServer } from "node:http"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { ChatWire } from "holdfast/provider"
import { request, withIds } from "../../../src/testing/provider-contract/Stage.ts"
import { listening } from "../../sockets/listening.ts"

const body = (content: string): string =>
  JSON.stringify({ choices: [{ index: 0, message: { content }, finish_reason: "stop" }] })
const answer = (content: string): string =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${body(content).length}\r\n\r\n${body(content)}`

/** A server that says to a whole request what a function says. */
const raw = (answering: (socket: Socket) => void) =>
  Effect.gen(function* () {
    const open = new Set<Socket>()
    const server = createRaw((socket) => {
      open.add(socket)
      socket.on("error", () => {}).on("data", (asked) => asked.at(-1) === 0x7d && answering(socket))
    })
    const port = yield* listening(server)
    yield* Effect.addFinalizer(() => Effect.sync(() => open.forEach((socket) => socket.destroy())))
    return port
  })

const texts = (baseUrl: string, prompt: string, times: number) =>
  Effect.gen(function* () {
    const { generateText } = ChatWire.provider({ baseUrl, model: "m" })
    const call = Effect.map(generateText(yield* request(prompt)), (parts) =>
      parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("")
    )
    return yield* Effect.replicateEffect(call, times)
  }).pipe(withIds)

it.live("a connection that its server closes behind each answer, without saying so, is not used again", () =>
  Effect.gen(function* () {
    const port = yield* raw((socket) => socket.end(answer("Kelp.")))
    assert.deepStrictEqual(yield* texts(`http://127.0.0.1:${port}/v1`, "hi", 30), Array(30).fill("Kelp."))
  })
)

it.live("a connection that was answered before all of the request was sent is not used again", () =>
  Effect.gen(function* () {
    const open = new Set<Socket>()
    const server = createRaw((socket) => {
      open.add(socket)
      socket.on("error", () => {}).once("data", () => socket.pause().write(answer("Kelp.")))
    })
    const port = yield* listening(server)
    yield* Effect.addFinalizer(() => Effect.sync(() => open.forEach((socket) => socket.destroy())))
    const prompt = "kelp ".repeat(4_000_000)
    assert.deepStrictEqual(yield* texts(`http://127.0.0.1:${port}/v1`, prompt, 2), ["Kelp.", "Kelp."])
  })
)

it.live.each(["/v1", "/v1/", "/v1/chat/completions", "/v1/chat/completions/"])(
  "a base URL that ends with %s goes to /v1/chat/completions",
  (base) =>
    Effect.gen(function* () {
      const server = createServer((asked, response) =>
        asked.resume().on("end", () => response.end(body(asked.url ?? "")))
      )
      const port = yield* listening(server)
      assert.deepStrictEqual(yield* texts(`http://127.0.0.1:${port}${base}`, "hi", 1), ["/v1/chat/completions"])
    })
)
