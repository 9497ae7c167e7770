// A chat endpoint in plain TypeScript: the answer streams to the reader, and the model stops when the reader leaves.
//
// prints: read: Kelp holds on by its holdfast.
// prints: the reader left, calls that still run: 0
import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import type { AddressInfo } from "node:net"
import { Client, fakeModel, HoldfastError } from "holdfast/promise"

// Offline here. A real one: Client.make({ model: "openai/gpt-5-mini" }), with OPENAI_API_KEY set.
const model = fakeModel(({ prompt }) =>
  prompt === "long" ? { text: "word ".repeat(10_000), delay: 5 } : "Kelp holds on by its holdfast."
)
const client = Client.make({ model, timeout: "1 minute" })

// The shape of a handler of Express, too: app.post("/chat", chat).
const chat = async (request: IncomingMessage, response: ServerResponse) => {
  const reader = new AbortController()
  response.once("close", () => reader.abort())
  const prompt = new URL(request.url ?? "/", "http://localhost").searchParams.get("prompt") ?? ""
  try {
    for await (const text of client.stream(prompt, { signal: reader.signal, tenant: "acme" })) {
      if (!response.write(text)) await once(response, "drain", { signal: reader.signal })
    }
    response.end()
  } catch (error) {
    if (reader.signal.aborted) return // Nobody is there to be told.
    const { code, retryable } = error instanceof HoldfastError ? error : { code: "unknown", retryable: false }
    if (!response.headersSent) response.writeHead(retryable ? 503 : 500)
    response.end(code)
  }
}

const server = createServer((request, response) => void chat(request, response)).listen(0, "127.0.0.1")
await once(server, "listening")
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

console.log("read:", await (await fetch(`${origin}/chat?prompt=kelp`)).text())

const leaving = new AbortController()
const { body } = await fetch(`${origin}/chat?prompt=long`, { signal: leaving.signal })
await body?.getReader().read()
leaving.abort()
while ((await client.counts()).calls.running > 0) await sleep(1)
console.log("the reader left, calls that still run:", (await client.counts()).calls.running)

await client.close()
server.close()
