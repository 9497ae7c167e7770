/**
 * A chat completions server that allows so many requests a second, as many at once after a quiet second, and says nothing of it but 429.
 *
 * `/counts` says how many it was sent, and how long it was from the first to the last answer.
 */
import { createServer } from "node:http"
import { completion } from "../../test/sockets/openaiWire.ts"

const perSecond = Number(process.argv[2])
let level = perSecond
let [first, last, at, sent] = [0, 0, performance.now(), 0]

const server = createServer((request, response) => {
  if (request.url === "/counts") return void response.end(JSON.stringify({ sent, lastMillis: last - first }))
  request.resume().on("end", () => {
    const now = performance.now()
    sent += 1
    first ||= now
    level = Math.min(perSecond, level + ((now - at) / 1_000) * perSecond)
    at = now
    const json = { "content-type": "application/json" }
    if (level < 1) {
      const error = { message: "Rate limit reached", type: "requests", code: "rate_limit_exceeded" }
      return void response.writeHead(429, json).end(JSON.stringify({ error }))
    }
    level -= 1
    setTimeout(() => {
      last = performance.now()
      response.writeHead(200, json).end(completion("ok"))
    }, 200)
  })
})
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  process.stdout.write(
    `${JSON.stringify({ url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}` })}\n`
  )
})
process.stdin.resume().once("end", () => process.exit(0))
