/**
 * Asks a store that several processes share, goes on without it while it does not answer, and believes nothing that it
 * cannot have been told.
 *
 * Each question has a time limit. A question that is late makes the store unavailable, and so does one that fails, unless
 * the probe still succeeds: then it was the question that the store did not like. Of an unavailable store nothing is asked
 * until a probe, made every once in a while, succeeds. The log has one line when it goes and one when it is back.
 */
import { type Cause, Effect, Exit, Fiber, Option, Scope } from "effect"
import * as Monotonic from "../../core/Monotonic.ts"
import * as SafeText from "../../core/SafeText.ts"

export interface Options {
  /** How log lines name the store: "the shared rate limits". */
  readonly name: string
  /** What they say happens without it: "each process keeps its own". */
  readonly without: string
  /** How long an answer may take, in milliseconds. */
  readonly timeoutMillis: number
  /** How long the store is left alone after an unanswered question or probe, in milliseconds. */
  readonly retryMillis: number
  /** Succeeds when the store is there. Asked when a question failed, and by a fiber of its own whether the store is back. */
  readonly probe: Effect.Effect<unknown, Error>
}

/** How often the log says at most that single questions fail. */
const warnEveryMillis = 60_000

export class SharedStore {
  private isAnswering = true
  private isProbing = false
  private warnFrom = -Infinity
  /** What it did not hear, by name. */
  private readonly owed = new Map<string, Effect.Effect<unknown, unknown>>()
  private readonly options: Options
  private readonly scope: Scope.Scope

  /** Questions are asked by fibers of this scope, so that none outlives it. */
  constructor(options: Options, scope: Scope.Scope) {
    this.options = options
    // Closing does not wait for one question before it gives up the next.
    this.scope = Scope.forkUnsafe(scope, "parallel")
  }

  /** False from a question without an answer until the next answer, most often to a probe. */
  get isAvailable(): boolean {
    return this.isAnswering
  }

  /**
   * Asks, and gives `None` when there is no answer in time. A store that is left alone is not asked, unless `always`.
   *
   * What it must hear has a name for `owed`: left without an answer because the store is gone, it is asked once more when
   * the store is back, or the last one of that name.
   *
   * The time limit holds also where the caller cannot be interrupted; who finds a question failed waits as long again for the
   * probe. Turn an error that is an answer into a value first.
   */
  ask<A, E>(question: Effect.Effect<A, E>, always = false, owed?: string): Effect.Effect<Option.Option<A>> {
    return Effect.suspend(() => {
      if (!always && !this.isAnswering) return Effect.succeedNone
      const told = Effect.flatMap(this.inTime(question), this.taken<A>)
      if (owed === undefined) return told
      return Effect.tap(told, (answer) => {
        if (Option.isNone(answer) && !this.isAnswering) this.owed.set(owed, question)
        return Effect.void
      })
    })
  }

  /** As {@link ask}, without anybody waiting for it. */
  tell<A, E>(question: Effect.Effect<A, E>): Effect.Effect<void> {
    return Effect.asVoid(this.fork(this.ask(question)))
  }

  /** Says in the log that the store holds for a key what nobody can have put there: it counts as nothing. */
  disbelieve(key: string, found: unknown): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.warn("what it holds is not believed", `${SafeText.of(found)} for ${SafeText.of(key)}`)
    )
  }

  private readonly taken = <A>(exit: Exit.Exit<A, unknown> | undefined): Effect.Effect<Option.Option<A>> => {
    if (exit === undefined)
      return Effect.as(this.gone(`no answer within ${this.options.timeoutMillis} ms`), Option.none())
    if (Exit.isSuccess(exit)) return Effect.as(this.back, Option.some(exit.value))
    return Exit.hasInterrupts(exit) ? Effect.succeedNone : Effect.as(this.failed(exit.cause), Option.none())
  }

  /** One question that cannot be answered, such as for a key that holds something else, is not the end of all others. */
  private failed(cause: Cause.Cause<unknown>): Effect.Effect<void> {
    const { probe } = this.options
    if (!this.isAnswering) return this.gone(cause)
    return Effect.flatMap(this.inTime(probe), (exit) =>
      exit === undefined || Exit.isFailure(exit)
        ? this.gone(cause)
        : this.warn("a question failed, though the store answers", cause)
    )
  }

  private warn(what: string, why: string | Cause.Cause<unknown>): Effect.Effect<void> {
    return Effect.flatMap(Monotonic.millis, (now) => {
      if (now < this.warnFrom) return Effect.void
      this.warnFrom = now + warnEveryMillis
      return Effect.logWarning(`${this.options.name}: ${what}`, why)
    })
  }

  /** How a question ended; `undefined` when it took too long. */
  private inTime<A, E>(question: Effect.Effect<A, E>): Effect.Effect<Exit.Exit<A, E> | undefined> {
    const { timeoutMillis } = this.options
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(this.fork(question), (asked) => {
        const exit = asked.pollUnsafe()
        if (exit !== undefined) return Effect.succeed(exit)
        return Effect.flatMap(this.fork(Effect.sleep(timeoutMillis)), (timer) => {
          const answered = Effect.callback<Exit.Exit<A, E> | undefined>((resume) => {
            asked.addObserver((exit) => {
              resume(Effect.succeed(exit))
              timer.interruptUnsafe()
            })
            // The timer also ends when the scope closes.
            timer.addObserver(() => {
              resume(Effect.undefined)
              asked.interruptUnsafe()
            })
          })
          const leave = Effect.suspend(() => {
            timer.interruptUnsafe()
            asked.interruptUnsafe()
            // A driver may need long to be interrupted while its server is frozen. Only a caller that meets the end of the
            // scope waits for that, and not longer than for an answer.
            return this.isClosed ? Effect.timeoutOption(Fiber.awaitAll([timer, asked]), timeoutMillis) : Effect.void
          })
          return this.isClosed ? Effect.as(leave, undefined) : Effect.onInterrupt(restore(answered), () => leave)
        })
      })
    )
  }

  private fork<A, E>(self: Effect.Effect<A, E>): Effect.Effect<Fiber.Fiber<A, E>> {
    return Effect.forkIn(self, this.scope, { startImmediately: true })
  }

  private get isClosed(): boolean {
    return this.scope.state._tag === "Closed"
  }

  private gone(why: string | Cause.Cause<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.isAnswering || this.isClosed) return Effect.void
      this.isAnswering = false
      const { name, without } = this.options
      return Effect.andThen(
        Effect.logWarning(`${name}: no answer; ${without}`, why),
        Effect.forkIn(this.untilBack(), this.scope)
      )
    })
  }

  private readonly back: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isAnswering) return Effect.void
    this.isAnswering = true
    const owed = Array.from(this.owed)
    this.owed.clear()
    return Effect.andThen(
      Effect.logInfo(`${this.options.name}: answers again`),
      owed.length === 0
        ? Effect.void
        : this.fork(Effect.forEach(owed, ([name, question]) => this.ask(question, true, name), { discard: true }))
    )
  })

  private readonly untilBack = Effect.fnUntraced(function* (this: SharedStore) {
    if (this.isProbing) return
    this.isProbing = true
    while (!this.isAnswering) {
      yield* Effect.sleep(this.options.retryMillis)
      const exit = yield* this.inTime(this.options.probe)
      if (exit !== undefined && Exit.isSuccess(exit)) yield* this.back
    }
    this.isProbing = false
  })
}
