/**
 * Gathers requests while earlier ones are being written, so that many of them share one transaction and one wait for the disk.
 */
import { Effect } from "effect"
import { setImmediate } from "node:timers"
import { Closed, Damaged, Full, JobStoreError, Newer, Owned, type Reason, Unavailable } from "../JobStoreError.ts"
import type { Signal } from "../store/Job.ts"
import type { Answer, Name, Operation } from "../store/Operation.ts"
import type { Host } from "../store/Service.ts"
import type { Batch } from "./Engine.ts"
import type { Problem } from "./Trouble.ts"

/** Whoever does what is gathered. */
export interface Runner {
  /** Does it, and then calls back: with what came of it, or with why nothing is known of it. */
  readonly run: (operations: ReadonlyArray<Operation>, done: (batch: Batch | Problem) => void) => void
  readonly close: Effect.Effect<void>
}

interface Request {
  readonly operation: Operation
  readonly resume: (answer: Effect.Effect<Answer<Name>, JobStoreError>) => void
}

/** Requests of one transaction. */
const mostTogether = 1_000

export class GroupCommit implements Host {
  readonly name: string
  private readonly runner: Runner
  private readonly publish: (signals: ReadonlyArray<Signal>) => void
  private waiting: Array<Request> = []
  private isScheduled = false
  private isBusy = false
  private isClosed = false
  private atRest: (() => void) | undefined

  constructor(name: string, runner: Runner, publish: (signals: ReadonlyArray<Signal>) => void) {
    this.name = name
    this.runner = runner
    this.publish = publish
  }

  ask<Op extends Operation>(operation: Op): Effect.Effect<Answer<Op["is"]>, JobStoreError>
  ask(operation: Operation): Effect.Effect<Answer<Name>, JobStoreError> {
    return Effect.callback<Answer<Name>, JobStoreError>((resume) => {
      if (this.isClosed) return resume(Effect.fail(new JobStoreError({ store: this.name, reason: new Closed() })))
      const request = { operation, resume }
      this.waiting.push(request)
      this.schedule()
      return Effect.sync(() => {
        this.waiting = this.waiting.filter((each) => each !== request)
      })
    })
  }

  /** Takes no more requests, does those that it has, and lets go of the file. */
  get close(): Effect.Effect<void> {
    return Effect.andThen(
      Effect.callback<void>((resume) => {
        this.isClosed = true
        if (!this.isBusy && this.waiting.length === 0) return resume(Effect.void)
        this.atRest = () => resume(Effect.void)
      }),
      this.runner.close
    )
  }

  private schedule(): void {
    if (this.isScheduled || this.isBusy) return
    this.isScheduled = true
    setImmediate(() => {
      this.isScheduled = false
      this.send()
    })
  }

  private send(): void {
    const requests = this.waiting.splice(0, mostTogether)
    if (requests.length === 0) return this.atRest?.()
    this.isBusy = true
    this.runner.run(
      requests.map(({ operation }) => operation),
      (batch) => {
        this.isBusy = false
        if ("outcomes" in batch) this.publish(batch.signals)
        for (const [index, { resume }] of requests.entries()) {
          const outcome = "outcomes" in batch ? batch.outcomes[index] : { is: "problem" as const, problem: batch }
          if (outcome?.is === "answer") resume(Effect.succeed(outcome.answer))
          else resume(Effect.fail(errorOf(this.name, outcome?.problem ?? unknown)))
        }
        if (this.waiting.length > 0) this.schedule()
        else this.atRest?.()
      }
    )
  }
}

const unknown: Problem = { _tag: "Unavailable", problem: "there was no answer" }

/** The typed error of what is wrong with a file. */
export const errorOf = (store: string, problem: Problem): JobStoreError =>
  new JobStoreError({ store, reason: reasonOf(problem) })

const reasonOf = (problem: Problem): Reason => {
  switch (problem._tag) {
    case "Owned":
      return new Owned(problem)
    case "Damaged":
      return new Damaged(problem)
    case "Newer":
      return new Newer(problem)
    case "Full":
      return new Full()
    case "Unavailable":
      return new Unavailable(problem)
  }
}
