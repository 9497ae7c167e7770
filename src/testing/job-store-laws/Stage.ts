/**
 * Plays a program on a store, and notes every answer, with the whole stock before and after it.
 */
import { Cause, Clock, Effect, Exit, Fiber, Option, Scope } from "effect"
import type { Filter, Job, NewJob, Outcome, Page, Store, Submitted, Token } from "../../durable/JobStore.ts"
import type { JobStoreError } from "../../durable/JobStoreError.ts"
import {
  type Command,
  type Ending,
  type Program,
  type Saying,
  type Settings,
  type Submission,
  texts,
  type Which
} from "./Program.ts"
import type { Note, Said, Seen, Stock, Trace } from "./Trace.ts"

/** A store that is open. */
export interface Opened {
  readonly store: Store
  /** Drops the store as a crash would, without closing it. None where the jobs do not outlive it. */
  readonly crash?: Effect.Effect<void> | undefined
}

/** Where a store keeps its jobs. */
export interface Place {
  /** Opens the store: an empty one first, later with what it held. It is closed with the scope. */
  readonly open: Effect.Effect<Opened, JobStoreError, Scope.Scope>
}

/** Makes an empty place for a store, which is opened with these options. */
export type Make = (options: Settings) => Effect.Effect<Place, never, Scope.Scope>

/** Time passes when it is told to. Who sleeps, sleeps really. */
class StageClock implements Clock.Clock {
  private readonly real = Clock.Clock.defaultValue()
  private readonly start = 1_750_000_000_000
  private passed = 0
  private ahead = 0

  pass(millis: number): void {
    this.passed += millis
  }
  set(millis: number): void {
    this.ahead += millis
  }
  currentTimeMillisUnsafe(): number {
    return this.start + this.passed + this.ahead
  }
  currentTimeNanosUnsafe(): bigint {
    return BigInt(this.currentTimeMillisUnsafe()) * 1_000_000n
  }
  monotonicTimeNanosUnsafe(): bigint {
    return BigInt(this.passed) * 1_000_000n
  }
  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = Effect.sync(() => this.monotonicTimeNanosUnsafe())
  sleep: Clock.Clock["sleep"] = (duration) => this.real.sleep(duration)
}

/** Plays a program from its first command to its last. */
export const play = (make: Make, program: Program): Effect.Effect<Trace> => {
  const clock = new StageClock()
  return Effect.scoped(
    Effect.gen(function* () {
      const stage = new Stage(yield* make(program.settings), clock)
      return yield* stage.run(program)
    })
  ).pipe(Effect.provideService(Clock.Clock, clock))
}

class Stage {
  private readonly place: Place
  private readonly clock: StageClock
  private readonly notes: Array<Note> = []
  private readonly tokens: Array<Token> = []
  private readonly ids: Array<string> = []
  private stock: Stock = new Map()
  private opened: Opened | undefined
  private scope: Scope.Closeable | undefined
  private steps = 0

  constructor(place: Place, clock: StageClock) {
    this.place = place
    this.clock = clock
  }

  readonly run = Effect.fnUntraced(function* (this: Stage, program: Program) {
    const played = yield* Effect.exit(this.open())
    if (Exit.isFailure(played)) this.note(failedWith(played.cause), new Map())
    else {
      for (const command of program.commands) {
        this.steps++
        const said = yield* Effect.exit(this.act(command))
        if (Exit.isSuccess(said) && said.value === undefined) continue
        const seen = yield* Effect.exit(this.look())
        if (Exit.isFailure(seen)) {
          this.note(failedWith(seen.cause), this.stock)
          break
        }
        this.note(Exit.isSuccess(said) && said.value !== undefined ? said.value : failedOf(said), seen.value)
        if (Exit.isFailure(said)) break
      }
    }
    const logs = new Map<string, Seen["log"]>()
    if (this.opened !== undefined) {
      for (const id of this.stock.keys()) {
        logs.set(id, yield* Effect.orElseSucceed(this.opened.store.events(id, 0), () => []))
      }
    }
    const last = this.opened
    yield* this.close()
    const answer = last === undefined ? undefined : yield* Effect.exit(last.store.get("none"))
    return {
      program,
      notes: this.notes,
      logs,
      afterClose: answer === undefined ? "Closed" : Exit.isSuccess(answer) ? "an answer" : tagOf(answer.cause),
      steps: this.steps
    }
  })

  private note(said: Said, after: Stock): void {
    const { clock } = this
    const monotonic = Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
    this.notes.push({ said, wall: clock.currentTimeMillisUnsafe(), monotonic, before: this.stock, after })
    this.stock = after
  }

  private readonly open = Effect.fnUntraced(function* (this: Stage) {
    this.scope = yield* Scope.make()
    this.opened = yield* Scope.provide(this.place.open, this.scope)
  })

  private readonly close = Effect.fnUntraced(function* (this: Stage) {
    const { scope } = this
    this.scope = undefined
    if (scope !== undefined) yield* Scope.close(scope, Exit.void)
  })

  /** Does what a command says. Nothing happens where it cannot be done. */
  private act(command: Command): Effect.Effect<Said | undefined, JobStoreError> {
    const { opened } = this
    if (opened === undefined) return Effect.undefined
    const { crash, store } = opened
    switch (command.do) {
      case "submit":
      case "submit twice": {
        const jobs = command.jobs.map((job) => this.newJob(job))
        return Effect.map(
          Effect.all(times(command.do === "submit" ? 1 : 2, store.submit(jobs)), { concurrency: "unbounded" }),
          (answers) => this.submitted(jobs, answers, false)
        )
      }
      case "claim":
      case "claim twice": {
        const { want } = command
        return Effect.map(
          Effect.all(times(command.do === "claim" ? 1 : 2, store.claim(want)), { concurrency: "unbounded" }),
          (answers) => {
            for (const { token } of answers.flat()) this.tokens.push(token)
            return { is: "claim", want, answers }
          }
        )
      }
      case "renew": {
        const held = command.tokens.flatMap((ago) => this.token(ago) ?? [])
        return Effect.map(store.renew(held), (answer) => ({ is: "renew", held, answer }))
      }
      case "settle": {
        const ends = command.ends.flatMap((end) => {
          const token = this.token(end.token)
          return token === undefined ? [] : [{ token, outcome: this.outcome(end) }]
        })
        return Effect.map(store.settle(ends), (answer) => ({ is: "settle", ends, answer }))
      }
      case "record": {
        const token = this.token(command.token)
        if (token === undefined) return Effect.undefined
        const entries = command.says.map(entryOf)
        return Effect.map(store.record(token, entries), (answer) => ({ is: "record", token, entries, answer }))
      }
      case "cancel": {
        const which = this.filter(command.which)
        const { reason } = command
        return Effect.map(store.cancel(which, reason), (answer) => ({ is: "cancel", which, reason, answer }))
      }
      case "requeue": {
        const which = this.filter(command.which)
        return Effect.map(store.requeue(which), (answer) => ({ is: "requeue", which, answer }))
      }
      case "expire":
        return Effect.map(store.expire, (answer) => ({ is: "expire", answer }))
      case "prune": {
        const { limit, retention } = command
        return Effect.map(store.prune(retention, limit), (answer) => ({ is: "prune", retention, limit, answer }))
      }
      case "look":
        return this.lookAt(store, this.filter(command.which), command.limit)
      case "pass":
        return Effect.sync(() => {
          this.clock.pass(command.millis)
          return { is: "pass" }
        })
      case "set clock":
        return Effect.sync(() => {
          this.clock.set(command.millis)
          return { is: "set clock", millis: command.millis }
        })
      case "reopen":
        return crash === undefined ? Effect.undefined : Effect.as(this.again(Effect.void), { is: "opened" })
      case "crash":
        return crash === undefined ? Effect.undefined : Effect.as(this.again(crash), { is: "opened" })
      case "crash during": {
        if (crash === undefined) return Effect.undefined
        const jobs = command.jobs.map((job) => this.newJob(job))
        let answers: ReadonlyArray<ReadonlyArray<Submitted>> = []
        return Effect.gen({ self: this }, function* () {
          const sending = yield* Effect.forkChild(store.submit(jobs), { startImmediately: true })
          yield* crash
          // What is answered later comes from a store that is gone.
          const exit = sending.pollUnsafe()
          if (exit !== undefined && Exit.isSuccess(exit)) answers = [exit.value]
          yield* this.again(Effect.void)
          yield* Fiber.interrupt(sending)
          return this.submitted(jobs, answers, true)
        })
      }
    }
  }

  private again(crash: Effect.Effect<void>): Effect.Effect<void, JobStoreError> {
    return Effect.andThen(crash, Effect.andThen(this.close(), this.open()))
  }

  private submitted(
    jobs: ReadonlyArray<NewJob>,
    answers: ReadonlyArray<ReadonlyArray<Submitted>>,
    dropped: boolean
  ): Said {
    for (const { id } of jobs) if (id !== undefined && !this.ids.includes(id)) this.ids.push(id)
    return { is: "submit", jobs, answers, dropped }
  }

  private readonly lookAt = Effect.fnUntraced(function* (this: Stage, store: Store, which: Filter, limit: number) {
    const pages: Array<Page> = []
    for (;;) {
      const page: Page = yield* store.list(which, { limit, before: pages.at(-1)?.next })
      pages.push(page)
      if (page.next === undefined || pages.length > 200) break
    }
    const counts = yield* store.count(which)
    const got: Array<Job | undefined> = []
    for (const id of this.stock.keys()) got.push(Option.getOrUndefined(yield* store.get(id)))
    return { is: "look", which, limit, pages, counts, got } as const
  })

  /** The whole stock. What has not changed is not read again. */
  private readonly look = Effect.fnUntraced(function* (this: Stage) {
    const seen = new Map<string, Seen>()
    if (this.opened === undefined) return seen
    const { store } = this.opened
    for (const job of (yield* store.list({}, { limit: 10_000 })).jobs) {
      const known = this.stock.get(job.id)
      const same = known !== undefined && JSON.stringify(known.job) === JSON.stringify(job)
      seen.set(
        job.id,
        same
          ? known
          : {
              job,
              log: [...(known?.log ?? []), ...(yield* store.events(job.id, known?.log.length ?? 0))],
              steps: yield* store.steps(job.id),
              attempts: yield* store.attempts(job.id)
            }
      )
    }
    return seen
  })

  private newJob({ delay, text, ...job }: Submission): NewJob {
    const dueMillis = delay === undefined ? undefined : this.clock.currentTimeMillisUnsafe() + delay
    return { ...job, payload: texts[text] ?? "", dueMillis }
  }

  private token(ago: number): Token | undefined {
    return this.tokens.at(-1 - ago)
  }

  private filter({ ago, ...rest }: Which): Filter {
    return ago === undefined ? rest : { ...rest, ids: ago.map((back) => this.ids.at(-1 - back) ?? "none") }
  }

  private outcome({ as, delay, text }: Ending): Outcome {
    const said = texts[text] ?? ""
    switch (as) {
      case "Completed":
        return { _tag: as, result: said }
      case "Failed":
        return { _tag: as, error: said }
      case "RetryAt":
        return { _tag: as, error: said, atMillis: this.clock.currentTimeMillisUnsafe() + delay }
      case "Cancelled":
        return { _tag: as, reason: "stopped" }
      case "Released":
        return { _tag: as }
    }
  }
}

const times = <A>(howMany: number, value: A): ReadonlyArray<A> => Array.from({ length: howMany }, () => value)

const entryOf = ({ name, say, text }: Saying) => {
  const value = texts[text] ?? ""
  return say === "Step" ? { _tag: say, name, value } : { _tag: say, value }
}

const failedWith = (cause: Cause.Cause<unknown>): Said => ({
  is: "failed",
  what: Cause.pretty(cause).split("\n")[0] ?? ""
})

const failedOf = (exit: Exit.Exit<unknown, unknown>): Said =>
  Exit.isFailure(exit) ? failedWith(exit.cause) : { is: "failed", what: "nothing" }

/** The reason of a typed error; a defect is told in a word. */
const tagOf = (cause: Cause.Cause<JobStoreError>): string => {
  const [first] = cause.reasons
  return first !== undefined && Cause.isFailReason(first) ? first.error.reason._tag : "a defect"
}
