/**
 * A chat completions server as small and fast as can be, for tests that are about the client's size and speed.
 *
 * It echoes the last message. Run as its own process, it prints `{"url":…}` and ends when its standard input closes.
 */
import { createServer } from "node:http"

const latencyMillis = Number(process.argv[2] ?? 0)

const server = createServer((request, response) => {
  const chunks: Array<Buffer> = []
  request.on("data", (chunk: Buffer) => chunks.push(chunk))
  request.on("end", () => {
    const body = JSON.parse(Buffer.concat(chunks).toString("utf8"))
    const answer = JSON.stringify({
      id: "chatcmpl-1",
      object: "chat.completion",
      created: 1,
      model: body.model,
      choices: [
        { index: 0, message: { role: "assistant", content: body.messages.at(-1).content }, finish_reason: "stop" }
      ],
      usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
    })
    setTimeout(() => response.writeHead(200, { "content-type": "application/json" }).end(answer), latencyMillis)
  })
})
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${address.port}` })}\n`)
})
process.on("SIGINT", () => undefined)
process.stdin.resume()
process.stdin.once("end", () => process.exit(0))
