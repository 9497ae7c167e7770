/** Runs an HTTP server on 127.0.0.1 for as long as a scope is open. */
import type * as Http from "node:http"
import { Effect, type Scope } from "effect"

/** Lets a server listen on a free port and gives its origin. Closing the scope closes all its connections. */
export const listen = (server: Http.Server): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(open(server), () => close(server)),
    () => originOf(server)
  )

const open = (server: Http.Server): Effect.Effect<void> =>
  Effect.callback((resume) => {
    server.listen(0, "127.0.0.1", () => resume(Effect.void))
  })

const close = (server: Http.Server): Effect.Effect<void> =>
  Effect.callback((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })

const originOf = (server: Http.Server): string => {
  const address = server.address()
  return typeof address === "object" && address !== null ? `http://127.0.0.1:${address.port}` : ""
}

/** Reads a request's body to its end: parsed when it is JSON, else the text. */
export const readBody = (request: Http.IncomingMessage, then: (body: unknown, bytes: Buffer) => void): void => {
  const pieces: Array<Buffer> = []
  request.on("data", (piece: Buffer) => pieces.push(piece))
  request.on("end", () => {
    const bytes = Buffer.concat(pieces)
    then(parse(bytes.toString("utf8")), bytes)
  })
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
