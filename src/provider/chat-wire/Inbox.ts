/**
 * Holds what has arrived of an answer until the fiber that reads it asks.
 */
import { Effect } from "effect"
import type { Exchange, Headers, Sink } from "../http/Exchange.ts"

/** Bytes that may wait for a slow reader before the connection is not read further. */
const highWater = 256 * 1_024

export class Inbox implements Sink {
  status: number | undefined
  headers: Headers = {}
  hasEnded = false
  failure: { readonly error: unknown } | undefined
  exchange: Exchange | undefined
  /** Waits until something has arrived that nobody has looked at. */
  readonly wait: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.hasNews) {
      this.hasNews = false
      return resume(Effect.void)
    }
    this.wake = () => resume(Effect.void)
    return Effect.sync(() => {
      this.wake = undefined
    })
  })
  private hasNews = false
  private isWaking = false
  private wake: (() => void) | undefined
  private buffers: Array<Buffer> = []
  private size = 0

  get isEmpty(): boolean {
    return this.buffers.length === 0
  }

  /** What has arrived since the last time. */
  take(): ReadonlyArray<Buffer> {
    const { buffers, size } = this
    this.hasNews = false
    this.buffers = []
    this.size = 0
    // It may bring more at once, and be paused again, before it returns.
    if (size > highWater) this.exchange?.resume()
    return buffers
  }

  head(status: number, headers: Headers): void {
    this.status = status
    this.headers = headers
    this.notify()
  }

  data(bytes: Buffer): void {
    this.buffers.push(bytes)
    this.size += bytes.length
    if (this.size > highWater) this.exchange?.pause()
    this.notify()
  }

  end(): void {
    this.hasEnded = true
    this.notify()
  }

  fail(error: unknown): void {
    this.failure = { error }
    this.notify()
  }

  /** Wakes the reader once for all that arrives in one read of the socket. */
  private notify(): void {
    this.hasNews = true
    if (this.isWaking || this.wake === undefined) return
    this.isWaking = true
    queueMicrotask(this.rouse)
  }

  private readonly rouse = (): void => {
    this.isWaking = false
    const { wake } = this
    if (wake === undefined || !this.hasNews) return
    this.hasNews = false
    this.wake = undefined
    wake()
  }
}
