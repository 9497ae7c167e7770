/**
 * An answer as it arrives, which several may read: what has come is kept, and each reader has a place in it.
 */
import { Effect, Exit } from "effect"
import type { Answer, Part, TextStream, Usage } from "../Call.ts"
import * as Failures from "./Failures.ts"
import { handled, now, type Runner, type Services } from "./Runner.ts"
import { Shown } from "./Shown.ts"

/** How many parts are read ahead of the reader who is furthest. */
const readAhead = 16

/** Begins an answer: its parts are given to `pass` as they arrive. */
export type Begin = (
  pass: (parts: ReadonlyArray<Part>) => Effect.Effect<void>
) => Effect.Effect<Answer, unknown, Services>

interface Reader {
  /** How many parts it has read. */
  at: number
  /** Told when there is more to read, or the end. */
  wake: (() => void) | undefined
}

/** One answer that arrives. It is asked for when somebody first reads it. */
export class Arrival {
  readonly parts: Array<Part> = []
  ended: Exit.Exit<Answer, unknown> | undefined = undefined

  private readonly begin: Begin
  private readonly runner: Runner
  private readonly readers = new Set<Reader>()
  private readonly waiting = new Set<() => void>()
  private stop: (() => void) | undefined = undefined
  private endedAt: number | undefined = undefined
  /** Whether it was given up because nobody read it any more. */
  isLeft = false
  private proceed: (() => void) | undefined = undefined

  constructor(runner: Runner, begin: Begin) {
    this.runner = runner
    this.begin = begin
  }

  get isRead(): boolean {
    return this.readers.size > 0
  }

  /** Whether one more may read it: it arrives, or has arrived well, at most so long ago. */
  isJoinable(forMillis: number): boolean {
    if (this.ended === undefined) return !this.isLeft
    return Exit.isSuccess(this.ended) && now() - (this.endedAt ?? 0) <= forMillis
  }

  /** Lets one more read. One whose place is at `Infinity` reads to the end as fast as it comes. */
  enter(at: number): Reader {
    const reader: Reader = { at, wake: undefined }
    this.readers.add(reader)
    if (this.stop === undefined && this.ended === undefined) this.start()
    this.goOn()
    return reader
  }

  /** Says that a reader waits for more. */
  goOn(): void {
    if (!this.isWanted()) return
    const { proceed } = this
    this.proceed = undefined
    proceed?.()
  }

  /** Takes a reader's leave. What nobody reads any more ends, and has ended when the promise is fulfilled. */
  leave(reader: Reader): Promise<void> {
    this.readers.delete(reader)
    if (this.readers.size > 0 || this.ended !== undefined) return Promise.resolve()
    return this.end()
  }

  private end(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.waiting.add(resolve)
    this.isLeft = true
    this.stop?.()
    return promise
  }

  private start(): void {
    const pass = (parts: ReadonlyArray<Part>): Effect.Effect<void> => {
      if (parts.length === 0) return Effect.void
      this.parts.push(...parts)
      this.wake()
      return this.isWanted() ? Effect.void : this.untilWanted
    }
    this.stop = () => {}
    const stop = this.runner.start(
      Effect.suspend(() => this.begin(pass)),
      undefined,
      (exit) => {
        this.ended = exit
        this.endedAt = now()
        this.wake()
        for (const each of this.waiting) each()
      }
    )
    this.stop = stop
  }

  private wake(): void {
    for (const reader of this.readers) {
      const { wake } = reader
      reader.wake = undefined
      wake?.()
    }
  }

  private isWanted(): boolean {
    for (const { at } of this.readers) if (this.parts.length - at < readAhead) return true
    return false
  }

  private readonly untilWanted = Effect.callback<void>((resume) => {
    this.proceed = () => resume(Effect.void)
  })
}

/** What one caller has of an arrival: its own signal, and where it was called. */
export class CallStream extends Shown implements TextStream {
  protected readonly shownAs = "TextStream"
  private readonly arrival: Arrival
  private readonly signal: AbortSignal | undefined
  private readonly frames: Failures.Frames
  private readonly leavers = new Set<() => Promise<void>>()
  private whole: Promise<Answer> | undefined = undefined

  constructor(arrival: Arrival, signal: AbortSignal | undefined, frames: Failures.Frames) {
    super()
    this.arrival = arrival
    this.signal = signal
    this.frames = frames
  }

  get parts(): AsyncIterable<Part> {
    return { [Symbol.asyncIterator]: () => this.read((part) => part) }
  }

  get response(): Promise<Answer> {
    this.whole ??= handled(this.complete())
    return this.whole
  }

  get usage(): Promise<Usage> {
    return handled(this.response.then(({ usage }) => usage))
  }

  [Symbol.asyncIterator](): AsyncIterator<string> {
    return this.read((part) => (part.type === "text" ? part.text : undefined))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Array.from(this.leavers, (leave) => leave()))
  }

  private async complete(): Promise<Answer> {
    const reading = this.read(() => undefined, Infinity)
    await reading.next()
    const { ended } = this.arrival
    if (ended !== undefined && Exit.isSuccess(ended)) return ended.value
    throw gone(this.frames)
  }

  /** Reads what `choose` finds something in. */
  private read<A>(choose: (part: Part) => A | undefined, at = 0): AsyncIterator<A> {
    const { arrival, frames, leavers, signal } = this
    let index = at
    let reader: Reader | undefined
    // What is asked for before an answer came is answered in turn.
    let turn: Promise<unknown> = Promise.resolve()
    let left: Promise<void> | undefined
    const leave = (): Promise<void> => {
      if (left === undefined) {
        leavers.delete(leave)
        signal?.removeEventListener("abort", onAbort)
        const gone = reader
        left = gone === undefined ? Promise.resolve() : arrival.leave(gone)
        gone?.wake?.()
      }
      return left
    }
    const onAbort = () => void leave()
    const enter = (): Reader => {
      reader = arrival.enter(at)
      leavers.add(leave)
      signal?.addEventListener("abort", onAbort, { once: true })
      return reader
    }
    const step = async (): Promise<IteratorResult<A>> => {
      for (;;) {
        if (signal?.aborted === true && !hasEndedWell(arrival, index)) {
          await leave()
          throw Failures.aborted(signal)
        }
        if (left !== undefined) return { done: true, value: undefined }
        const at = (reader ??= enter())
        while (index < arrival.parts.length) {
          const part = arrival.parts[index++]
          const chosen = part === undefined ? undefined : choose(part)
          if (chosen !== undefined) {
            at.at = index
            return { done: false, value: chosen }
          }
        }
        at.at = index
        if (arrival.ended !== undefined) {
          await leave()
          if (Exit.isFailure(arrival.ended))
            throw arrival.isLeft ? gone(frames) : Failures.ofCause(arrival.ended.cause, frames)
          return { done: true, value: undefined }
        }
        const { promise, resolve } = Promise.withResolvers<void>()
        at.wake = resolve
        arrival.goOn()
        await promise
      }
    }
    return {
      next: () => {
        const next = turn.then(step)
        turn = handled(next).catch(() => {})
        return next
      },
      return: async () => {
        await leave()
        return { done: true, value: undefined }
      }
    }
  }
}

const gone = (frames: Failures.Frames): Error =>
  Failures.at(new DOMException("the stream was left before its end", "AbortError"), frames)

/** Whether nothing more than the end is to be read. */
const hasEndedWell = ({ ended, parts }: Arrival, index: number): boolean =>
  ended !== undefined && Exit.isSuccess(ended) && index >= parts.length
