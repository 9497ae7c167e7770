/**
 * Makes a store of whoever answers requests: checks what is asked, and says when it is asked.
 */
import { type Context, Effect, Option, PubSub, Stream } from "effect"
import * as Monotonic from "../../core/Monotonic.ts"
import * as RandomId from "../../core/RandomId.ts"
import { JobStoreError } from "../JobStoreError.ts"
import type { Store } from "./Contract.ts"
import type { Entry, Outcome, Signal } from "./Job.ts"
import type { Answer, Name, Operation, Question } from "./Operation.ts"
import * as Requests from "./Requests.ts"
import type { Instant } from "./Transitions.ts"

/** Answers requests. */
export interface Host {
  /** What the store is called in errors. */
  readonly name: string
  readonly ask: <Op extends Operation>(operation: Op) => Effect.Effect<Answer<Op["is"]>, JobStoreError>
}

/** How many signals a listener may be behind before it loses the oldest. */
const mostSignals = 1_024

export const makeSignals: Effect.Effect<PubSub.PubSub<Signal>> = PubSub.sliding<Signal>(mostSignals)

/** The time at which something is asked, by the clock of whoever asks. */
export const instant: Effect.Effect<Instant> = Effect.clockWith((clock) =>
  Effect.sync(() => ({
    wallMillis: clock.currentTimeMillisUnsafe(),
    monotonicMillis: Monotonic.millisUnsafe(clock)
  }))
)

export const make = (host: Host, signals: PubSub.PubSub<Signal>, maxTextBytes: number): Store => {
  const ask = <N extends Name>(is: N, of: Question<N>): Effect.Effect<Answer<N>, JobStoreError> =>
    Effect.flatMap(instant, (at) =>
      // A name and its own question are one of the operations, which the compiler cannot see while the name is open.
      host.ask({ is, at, of } as Operation & { readonly is: N })
    )
  /** Asks what `of` gives once it is known that no text is too long. */
  const askWith = <N extends Name>(
    texts: Parameters<typeof Requests.tooLarge>[0],
    is: N,
    of: () => Question<N>
  ): Effect.Effect<Answer<N>, JobStoreError> => {
    const reason = Requests.tooLarge(texts, maxTextBytes)
    return reason === undefined ? ask(is, of()) : Effect.fail(new JobStoreError({ store: host.name, reason }))
  }
  return {
    submit: (jobs) =>
      Effect.contextWith((context: Context.Context<never>) => {
        for (const job of jobs) Requests.checkJob(job)
        const nextId = RandomId.maker(context)
        return askWith(
          jobs.map(({ payload }) => ["payload", payload] as const),
          "submit",
          () => ({ jobs: jobs.map((job) => ({ ...job, id: job.id ?? nextId(), metadata: { ...job.metadata } })) })
        )
      }),
    claim: (want) => Effect.suspend(() => ask("claim", { want: Requests.wantOf(want) })),
    renew: (held) => Effect.suspend(() => ask("renew", { held: held.map(Requests.tokenOf) })),
    settle: (given) =>
      Effect.suspend(() => {
        const ends = given.map(({ outcome, token }) => ({
          outcome: Requests.outcomeOf(outcome),
          token: Requests.tokenOf(token)
        }))
        return askWith(
          ends.flatMap(({ outcome }) => textsOf(outcome)),
          "settle",
          () => ({ ends })
        )
      }),
    record: (given, says) =>
      Effect.suspend(() => {
        const token = Requests.tokenOf(given)
        const entries = says.map(Requests.entryOf)
        return askWith(
          entries.map((entry) => [kinds[entry._tag], entry.value] as const),
          "record",
          () => ({ token, entries })
        )
      }),
    cancel: (which, reason) =>
      Effect.suspend(() => {
        Requests.checkFilter(which)
        return ask("cancel", { which, reason: Requests.checkReason(reason) })
      }),
    requeue: (which) =>
      Effect.suspend(() => {
        Requests.checkFilter(which)
        return ask("requeue", { which })
      }),
    get: (id) => Effect.suspend(() => Effect.map(ask("get", { id: Requests.idOf(id) }), Option.fromUndefinedOr)),
    steps: (id) => Effect.suspend(() => ask("steps", { id: Requests.idOf(id) })),
    attempts: (id) => Effect.suspend(() => ask("attempts", { id: Requests.idOf(id) })),
    list: (filter, page = {}) =>
      Effect.suspend(() => {
        Requests.checkFilter(filter)
        return ask("list", { filter, ...Requests.pageOf(page) })
      }),
    count: (filter) =>
      Effect.suspend(() => {
        Requests.checkFilter(filter)
        return ask("count", { filter })
      }),
    events: (id, after) =>
      Effect.suspend(() => ask("events", { id: Requests.idOf(id), after: Requests.checkAfter(after) })),
    expire: ask("expire", {}),
    prune: (retention, limit) =>
      Effect.suspend(() => ask("prune", { bounds: Requests.boundsOf(retention), limit: Requests.checkLimit(limit) })),
    signals: Stream.fromPubSub(signals)
  }
}

const kinds = { Progress: "progress", Report: "report", Step: "step" } as const satisfies Record<Entry["_tag"], string>

const textsOf = (outcome: Outcome): ReadonlyArray<readonly ["result" | "error", string]> => {
  if (outcome._tag === "Completed") return [["result", outcome.result]]
  return outcome._tag === "Failed" || outcome._tag === "RetryAt" ? [["error", outcome.error]] : []
}
