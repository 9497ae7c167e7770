/** Takes a request of any size, waits a moment, and gives a short answer: `node sinkServer.ts LATENCY_MILLIS`. */
import { createServer } from "node:http"

const latencyMillis = Number(process.argv[2] ?? 0)
const answer = JSON.stringify({
  id: "chatcmpl-1",
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", content: "ok" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
})
const server = createServer((request, response) => {
  request.resume().on("end", () => {
    setTimeout(() => response.writeHead(200, { "content-type": "application/json" }).end(answer), latencyMillis)
  })
})
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  process.stdout.write(
    `${JSON.stringify({ url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}` })}\n`
  )
})
process.stdin.resume().once("end", () => process.exit(0))
