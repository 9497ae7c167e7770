/**
 * Answers chat completions at once, for `bench/wire.ts`: so many chunks, so many in one write. `{"url":…}` on its first
 * line; the end of its standard input ends it.
 */
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { chunk, completion, done } from "../../test/sockets/openaiWire.ts"

const [together = 1, chunks = 2_000] = process.argv.slice(2).map(Number)
const write = Buffer.from(chunk({ content: "kelp " }).repeat(together))
const answer = completion("Kelp is no plant.")

/** Each write is sent in a turn of its own, so that it arrives as a read of its own. */
const stream = (response: ServerResponse, left: number): void => {
  if (response.destroyed) return
  if (left <= 0) return void response.end(done)
  response.write(write)
  setImmediate(stream, response, left - together)
}

const server = createServer((request, response) => {
  let body = ""
  request.on("data", (data: Buffer) => (body += data.toString()))
  request.on("end", () => {
    if (!body.includes('"stream":true')) {
      return void response.writeHead(200, { "content-type": "application/json" }).end(answer)
    }
    response.writeHead(200, { "content-type": "text/event-stream" })
    stream(response, chunks)
  })
})
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}` }))
})
process.stdin.resume().on("end", () => process.exit(0))
