/**
 * Gives calls with the same key one answer: while it is asked for, and for a while after.
 */
import { RecentlyUsed } from "../../core/window/RecentlyUsed.ts"
import type { Arrival } from "./CallStream.ts"
import * as Failures from "./Failures.ts"
import { now } from "./Runner.ts"

/** How many answers are remembered, and for how long. */
const most = 1_000
const forMillis = 60 * 60 * 1_000

interface Entry {
  readonly promise: Promise<unknown>
  readonly controller: AbortController
  callers: number
  succeededAt: number | undefined
}

export class Joined {
  private readonly entries = new RecentlyUsed<Entry>(most, ({ callers }) => callers === 0)
  private readonly arrivals = new RecentlyUsed<Arrival>(most, ({ isRead }) => !isRead)

  /**
   * Joins what has this key, or starts it. It is aborted when the last of its callers leaves; what fails is forgotten. The type
   * of an answer is that of its key.
   */
  async join<A>(key: string, signal: AbortSignal | undefined, start: (signal: AbortSignal) => Promise<A>): Promise<A> {
    if (signal?.aborted === true) throw Failures.aborted(signal)
    const entry = this.find(key) ?? this.begin(key, start)
    entry.callers++
    const { promise, reject, resolve } = Promise.withResolvers<unknown>()
    const caller = { hasLeft: false }
    const onAbort = () => {
      caller.hasLeft = true
      // In this step: others may leave in the same one. The last sees the end of it.
      const isWanted = --entry.callers > 0 || entry.succeededAt !== undefined
      const ending = isWanted ? Promise.resolve() : ended(entry)
      void ending.then(() => reject(signal && Failures.aborted(signal)))
    }
    signal?.addEventListener("abort", onAbort, { once: true })
    entry.promise.then(
      (answer) => resolve(answer),
      (error: unknown) => reject(signal?.aborted === true ? Failures.aborted(signal) : error)
    )
    try {
      // The key says the kind of call, and so of its answer.
      return (await promise) as A
    } finally {
      signal?.removeEventListener("abort", onAbort)
      if (!caller.hasLeft) entry.callers--
    }
  }

  /** The stream that has this key, if it may be read by one more, or another. */
  arrival(key: string, make: () => Arrival): Arrival {
    const known = this.arrivals.get(key)
    if (known?.isJoinable(forMillis) === true) return known
    const made = make()
    if (!this.arrivals.has(key)) this.arrivals.makeRoom()
    this.arrivals.set(key, made)
    return made
  }

  private find(key: string): Entry | undefined {
    const entry = this.entries.get(key)
    if (entry === undefined || entry.controller.signal.aborted) return undefined
    return entry.succeededAt !== undefined && now() - entry.succeededAt > forMillis ? undefined : entry
  }

  private begin(key: string, start: (signal: AbortSignal) => Promise<unknown>): Entry {
    const controller = new AbortController()
    const entry: Entry = { promise: start(controller.signal), controller, callers: 0, succeededAt: undefined }
    if (!this.entries.has(key)) this.entries.makeRoom()
    this.entries.set(key, entry)
    const forget = () => {
      if (this.entries.peek(key) === entry) this.entries.delete(key)
    }
    entry.promise.then(() => (entry.succeededAt = now()), forget)
    return entry
  }
}

const ended = ({ controller, promise }: Entry): Promise<unknown> => {
  controller.abort()
  return promise.catch(() => {})
}
