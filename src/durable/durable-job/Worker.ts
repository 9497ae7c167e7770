/**
 * Claims jobs of a store for as long as it has slots, runs each as a job of the supervisor, and settles it when it has ended.
 */
import { Clock, Duration, Effect, Fiber, FiberSet, Queue, type Scope, Stream } from "effect"
import * as Job from "../../supervisor/Job.ts"
import { Supervisor } from "../../supervisor/Supervisor.ts"
import { type Claim, JobStore, type Outcome, type Signal, type Token } from "../JobStore.ts"
import { crashed, type Handler, type Run } from "./Handler.ts"

export interface Settings {
  readonly concurrency: number
  readonly worker: string
  readonly poll: Duration.Duration
}

/** A claim in this worker's hands. */
interface Held {
  readonly token: Token
  job: Job.Job<unknown, unknown> | undefined
  /** Why it is to be cancelled. */
  asked: string | undefined
  /** Whether somebody else may have it now. */
  lost: boolean
}

/** Works for the current scope. Closing it gives back what runs, and waits until that has ended. */
export const work = <R>(
  handlers: ReadonlyMap<string, Handler<R>>,
  { concurrency, poll, worker }: Settings
): Effect.Effect<void, never, JobStore | Supervisor | Scope.Scope | R> =>
  Effect.gen(function* () {
    const store = yield* JobStore
    const supervisor = yield* Supervisor
    const context = yield* Effect.context<R>()
    const held = new Map<string, Held>()
    const wake = yield* Queue.sliding<void>(1)
    const hurry = yield* Queue.sliding<void>(1)
    const runs = yield* FiberSet.make<void>()
    const names = Array.from(handlers.keys(), (name) => ({ name }))
    let closing = false
    // A supervisor that drains takes no more jobs, ever.
    let isDrained = false

    const stop = (claim: Held, reason: string) =>
      claim.job === undefined ? Effect.void : Effect.asVoid(Job.cancel(claim.job, { reason }))

    const settle = (token: Token, outcome: Outcome): Effect.Effect<void> =>
      store.settle([{ token, outcome }]).pipe(
        Effect.asVoid,
        Effect.catchReason("JobStoreError", "TooLarge", (reason) => settle(token, crashed(reason.message))),
        Effect.catch((error) =>
          // Nobody can settle in a store that is closed: whoever opens it takes the job back.
          error.reason._tag === "Closed"
            ? Effect.logWarning("a durable job could not be settled", error)
            : Effect.andThen(
                Effect.logWarning("a durable job could not be settled yet", error),
                Effect.delay(
                  Effect.suspend(() => settle(token, outcome)),
                  poll
                )
              )
        )
      )

    const execute = Effect.fnUntraced(function* (handler: Handler<R>, claim: Claim, mine: Held) {
      const { key, metadata, name, priority } = claim.job
      const run: Run<R> = (effect) =>
        Effect.gen(function* () {
          const job = yield* supervisor.submit(Effect.provideContext(effect, context), {
            name,
            key,
            priority,
            metadata: { ...metadata, durableJob: claim.token.id },
            owner: "supervisor"
          })
          mine.job = job
          // What was asked meanwhile found no job to stop.
          if (closing || mine.lost || mine.asked !== undefined)
            yield* Job.cancel(job, { reason: mine.asked ?? "given back" })
          return yield* Job.await(job)
        })
      const ended = closing
        ? released
        : yield* Effect.catch(handler.execute(claim, run, store), (error) => {
            if (error._tag === "JobError" && error.reason._tag === "NotAccepting") {
              isDrained = true
              return Effect.succeed(released)
            }
            // It would be claimed again at once.
            return Effect.as(Effect.delay(Effect.logWarning("a durable job was given back", error), poll), released)
          })
      if (mine.lost) return
      if (ended._tag !== "Cancelled" || mine.asked !== undefined) return yield* settle(claim.token, ended)
      isDrained ||= !(yield* supervisor.health).accepting
      yield* settle(claim.token, closing || isDrained ? released : ended)
    })

    const start = (claim: Claim) => {
      const handler = handlers.get(claim.job.name)
      if (handler === undefined) return settle(claim.token, released)
      const mine: Held = { token: claim.token, job: undefined, asked: undefined, lost: false }
      held.set(claim.token.id, mine)
      return FiberSet.run(
        runs,
        Effect.ensuring(
          execute(handler, claim, mine),
          Effect.sync(() => {
            if (held.get(claim.token.id) === mine) held.delete(claim.token.id)
            Queue.offerUnsafe(wake, undefined)
          })
        )
      )
    }

    // A claim that was given is always begun, or it would be held by nobody until its lease ends.
    const claim = Effect.uninterruptible(
      Effect.gen(function* () {
        const free = concurrency - held.size
        if (free <= 0 || closing || isDrained) return 0
        const claims = yield* store.claim({ worker, slots: free, names })
        yield* Effect.forEach(claims, start, { discard: true })
        return claims.length
      })
    )

    const claiming = yield* claim.pipe(
      Effect.catch((error) => Effect.as(Effect.logWarning("durable jobs could not be claimed", error), 0)),
      Effect.andThen(Effect.timeoutOption(Queue.take(wake), poll)),
      Effect.forever,
      Effect.forkScoped
    )

    const look = Effect.gen(function* () {
      const claims = Array.from(held.values()).filter(({ lost }) => !lost)
      if (claims.length > 0) {
        const { cancel, lost } = yield* store.renew(claims.map(({ token }) => token))
        for (const token of lost) {
          const mine = held.get(token.id)
          if (mine?.token.claim !== token.claim) continue
          mine.lost = true
          yield* FiberSet.run(runs, stop(mine, "another worker may have it"))
        }
        for (const { reason, token } of cancel) {
          const mine = held.get(token.id)
          if (mine === undefined || mine.asked !== undefined) continue
          mine.asked = reason
          yield* FiberSet.run(runs, stop(mine, reason))
        }
      }
      if ((yield* store.expire) > 0) Queue.offerUnsafe(wake, undefined)
    })
    yield* look.pipe(
      Effect.catch((error) => Effect.logWarning("claims of durable jobs could not be renewed", error)),
      Effect.andThen(Effect.timeoutOption(Queue.take(hurry), poll)),
      Effect.forever,
      Effect.forkScoped
    )

    const hear = (signal: Signal) =>
      Effect.gen(function* () {
        if (signal._tag === "CancelRequested" && held.has(signal.id)) Queue.offerUnsafe(hurry, undefined)
        if (signal._tag !== "Ready" || !handlers.has(signal.name)) return
        const wait = signal.atMillis - (yield* Clock.currentTimeMillis)
        if (wait <= 0) Queue.offerUnsafe(wake, undefined)
        // What is due later than that is found by looking again and again.
        else if (wait < Duration.toMillis(poll)) {
          yield* Effect.forkScoped(
            Effect.delay(
              Effect.sync(() => Queue.offerUnsafe(wake, undefined)),
              wait
            )
          )
        }
      })
    yield* Effect.forkScoped(Stream.runForEach(store.signals, hear))

    yield* Effect.addFinalizer(() =>
      Effect.gen(function* () {
        closing = true
        yield* Fiber.interrupt(claiming)
        yield* Effect.forEach(held.values(), (mine) => stop(mine, "given back"), {
          concurrency: "unbounded",
          discard: true
        })
        yield* FiberSet.awaitEmpty(runs)
      })
    )
  })

const released: Outcome = { _tag: "Released" }
