/**
 * Connections to HTTP servers, one call on each at a time, kept for the next call when an answer is complete.
 *
 * Each is an undici client of its own rather than one of its pools: a call that is given up must close its connection at
 * once, also while that is still being made, and a pool does not say which connection is made for which call.
 */
import { Socket } from "node:net"
import { buildConnector, Client, type Dispatcher } from "undici"
import * as Proxy from "./Proxy.ts"

/** One connection, held by one call. */
export interface Connection {
  readonly dispatch: (options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler) => void
  /** Keeps it for another call. Only when the answer is complete. */
  readonly release: () => void
  /** Closes it at once, at whatever stage it is. */
  readonly close: () => void
}

/** Connections to one server that may wait for another call. What is more is closed. */
const mostIdle = 256

/** How long a connection may take to be made. */
const connectMillis = 10_000

/** The connections that wait, by server and proxy. An entry goes with its last connection. */
const idle = new Map<string, Array<Held>>()

/** Takes the connection that was used last, or makes one. `proxy` is where to go through, if anywhere. */
export const take = (origin: string, proxy: URL | undefined): Connection => {
  const key = proxy === undefined ? origin : `${origin} ${proxy.href}`
  return idle.get(key)?.pop() ?? new Held(key, origin, proxy)
}

const direct = buildConnector({ allowH2: false, timeout: connectMillis })

class Held implements Connection {
  private readonly key: string
  private readonly client: Client
  private stop: (() => void) | undefined
  private socket: Socket | undefined

  constructor(key: string, origin: string, proxy: URL | undefined) {
    this.key = key
    this.client = new Client(origin, {
      allowH2: false,
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: (options, callback) => {
        const made: buildConnector.Callback = (...result) => {
          this.stop = undefined
          this.socket = result[1] ?? undefined
          callback(...result)
        }
        this.stop =
          proxy === undefined ? stopperOf(direct(options, made)) : Proxy.connect(proxy, options, connectMillis, made)
      }
    })
    this.client.on("disconnect", () => this.forget())
  }

  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    this.client.dispatch(options, handler)
  }

  /**
   * Waits until what has arrived behind the answer was looked at: some servers close each connection without saying so. One
   * that was answered before the request was sent is closed, because the rest of the request may never be read.
   */
  release(): void {
    if ((this.socket?.writableLength ?? 0) > 0) this.close()
    else setImmediate(() => this.keep())
  }

  private keep(): void {
    if (this.client.destroyed || this.socket?.destroyed === true || this.socket?.readableEnded === true) return
    const waiting = idle.get(this.key)
    if (waiting === undefined) idle.set(this.key, [this])
    else if (waiting.length < mostIdle) waiting.push(this)
    else this.close()
  }

  close(): void {
    this.stop?.()
    this.client.destroy().catch(() => {})
  }

  private forget(): void {
    const waiting = idle.get(this.key)
    const at = waiting?.indexOf(this) ?? -1
    if (at < 0) return
    waiting?.splice(at, 1)
    if (waiting?.length === 0) idle.delete(this.key)
  }
}

/** The socket that undici's connector is making, which it returns without saying so in its types. */
const stopperOf = (socket: unknown): (() => void) | undefined =>
  socket instanceof Socket ? () => socket.destroy() : undefined
