/**
 * The supervisor's promises as laws, tried on generated programs in orders chosen by a seed.
 *
 * A program is plain data: a supervisor's limits, and what up to three clients do with it at the same time: submit, run,
 * join, await, leave, cancel, find, read, drain, close; with jobs that sleep, block, fail, die, retry, submit, join and
 * cancel others, and have finalizers that take time or fail. Each is run in many orders. What was seen, from inside the work,
 * from the answers, and from outside after every turn of a fiber, is held against a reference model.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Supervisor } from "holdfast/supervisor"
 * import { SupervisorLaws } from "holdfast/testing"
 *
 * const report = await Effect.runPromise(SupervisorLaws.check(Supervisor.make, { programs: 20, orders: 5 }))
 * report.runs // => 100
 * ```
 */
import { Effect, Schema } from "effect"
import type * as SeededScheduler from "./SeededScheduler.ts"
import type { Law } from "./supervisor-laws/Law.ts"
import { type Breach, breachesOf, laws as allLaws } from "./SupervisorLawsBook.ts"
import { sameSeedSameRun } from "./supervisor-laws/OfRecords.ts"
import { generate, type Program } from "./supervisor-laws/Generate.ts"
import { smaller } from "./supervisor-laws/Shrink.ts"
import { type Make, pointsOf, rehearse } from "./supervisor-laws/Stage.ts"
import { sweeps } from "./supervisor-laws/Sweep.ts"
import type { Trace } from "./supervisor-laws/Trace.ts"

export type { Law } from "./supervisor-laws/Law.ts"
export { type Breach, breachesOf, laws } from "./SupervisorLawsBook.ts"
export * from "./supervisor-laws/OfJobs.ts"
export * from "./supervisor-laws/OfRecords.ts"
export { healthSaysWhatIs, theLatestAreKept } from "./supervisor-laws/OfStock.ts"
export { whoeverIsDueGoesNext } from "./supervisor-laws/OfTurns.ts"
export type { Job, Limits, Program, Step, Work } from "./supervisor-laws/Generate.ts"
export { generate } from "./supervisor-laws/Generate.ts"
export { type Make, rehearse } from "./supervisor-laws/Stage.ts"
export type { Note, Trace } from "./supervisor-laws/Trace.ts"

export interface Options {
  /** How many programs to generate. Default 100. */
  readonly programs?: number | undefined
  /** In how many orders to run each. Default 10. */
  readonly orders?: number | undefined
  /** The first program's seed; the others follow one by one. Default 0. */
  readonly seed?: number | undefined
  /** Which laws to hold. Default: all. */
  readonly laws?: ReadonlyArray<Law> | undefined
  /** Every how many runs to run the same again, for `sameSeedSameRun`. Default 50. */
  readonly repeatEvery?: number | undefined
  /** Whether to make a program that breaks a law smaller, which takes a few seconds. Default true. */
  readonly shrink?: boolean | undefined
}

/** What holds where {@link Options} say nothing. */
export const defaults = { programs: 100, orders: 10, seed: 0, repeatEvery: 50, shrink: true } as const

/** How a run was ordered: by a seed, or with one preemption at a point. */
export type Order = Pick<SeededScheduler.Options, "seed" | "preempt">

/** A law did not hold. The program is the smallest one found that breaks it; {@link replay} runs it again. */
export class LawBroken extends Schema.TaggedError<LawBroken>()("LawBroken", {
  law: Schema.String,
  /** What was wrong, one sentence for each breach. */
  breaches: Schema.Array(Schema.String),
  /** The program, as JSON. */
  program: Schema.String,
  /** The order it was run in, as JSON. */
  order: Schema.String
}) {
  override get message(): string {
    return `${this.law}: ${this.breaches.join("; ")}\nSupervisorLaws.replay(make, ${this.program}, ${this.order})`
  }
}

/** What was tried. */
export interface Report {
  readonly programs: number
  readonly runs: number
  /** How many different orders there were, counted for each program. */
  readonly orders: number
  /** How many different outcomes there were: what became of the jobs of a program. */
  readonly outcomes: number
  /** Turns that fibers took in all runs together. */
  readonly steps: number
}

/**
 * Holds the laws against generated programs. Fails with {@link LawBroken} at the first breach, its program made small.
 *
 * Sleeps only in virtual time. A run takes about a millisecond.
 */
export const check = (make: Make, options: Options = {}): Effect.Effect<Report, LawBroken> =>
  Effect.gen(function* () {
    const first = options.seed ?? defaults.seed
    const count = options.orders ?? defaults.orders
    const trial = new Trial(make, options)
    for (let seed = first; seed < first + (options.programs ?? defaults.programs); seed++) {
      const orders = Array.from({ length: count }, (_, index) => ({ seed: seed * count + index }))
      yield* trial.run(generate(seed), orders)
      yield* Effect.yieldNow
    }
    return trial.report
  })

/**
 * Preempts every operation of every public call, one at a time, while another client does something else: each call
 * against each of the others, holding it back until nothing else is ready, and past the next timer. Fails with
 * {@link LawBroken} at the first breach.
 *
 * `share: 10` tries only every tenth point of each pair, which ones depends on the pair. Default 1.
 */
export const sweep = (
  make: Make,
  options: Pick<Options, "laws" | "repeatEvery" | "shrink"> & { readonly share?: number | undefined } = {}
): Effect.Effect<Report, LawBroken> =>
  Effect.gen(function* () {
    const trial = new Trial(make, options)
    const share = options.share ?? 1
    for (const [number, program] of sweeps.entries()) {
      const points = pointsOf(make, program)
        .flatMap((point) => [point, { ...point, pastNextTimer: true }])
        .filter((_, index) => (index + number) % share === 0)
      yield* trial.run(
        program,
        points.map((preempt) => ({ preempt }))
      )
      yield* Effect.yieldNow
    }
    return trial.report
  })

/** Runs a program once and says what was wrong: how a {@link LawBroken} is looked into. */
export const replay = (
  make: Make,
  program: Program,
  order: Order,
  laws: ReadonlyArray<Law> = allLaws
): ReadonlyArray<Breach> => breachesOf(rehearse(make, program, order), () => rehearse(make, program, order), laws)

/** Seeds, or points, with which to look for a breach in a program that was made smaller; and how many runs in all. */
const effort = { orders: 100, runs: 5_000 }

class Trial {
  private readonly make: Make
  private readonly laws: ReadonlyArray<Law>
  private readonly lawsOfOneRun: ReadonlyArray<Law>
  private readonly repeatEvery: number
  private readonly shrinks: boolean
  private readonly orders = new Set<number>()
  private readonly outcomes = new Set<string>()
  private programs = 0
  private runs = 0
  private steps = 0

  constructor(make: Make, { laws, repeatEvery, shrink }: Options) {
    this.make = make
    this.laws = laws ?? allLaws
    this.lawsOfOneRun = this.laws.filter((law) => law !== sameSeedSameRun)
    this.repeatEvery = repeatEvery ?? defaults.repeatEvery
    this.shrinks = shrink ?? defaults.shrink
  }

  get report(): Report {
    const { orders, outcomes, programs, runs, steps } = this
    return { programs, runs, steps, orders: orders.size, outcomes: outcomes.size }
  }

  run(program: Program, orders: ReadonlyArray<Order>): Effect.Effect<void, LawBroken> {
    return Effect.suspend(() => {
      this.programs++
      for (const order of orders) {
        const trace = rehearse(this.make, program, order)
        this.count(trace)
        const laws = this.runs % this.repeatEvery === 0 ? this.laws : this.lawsOfOneRun
        const [breach] = breachesOf(trace, () => rehearse(this.make, program, order), laws)
        if (breach !== undefined) return Effect.fail(this.smallest(program, order, breach.law))
      }
      return Effect.void
    })
  }

  private count(trace: Trace): void {
    this.runs++
    this.steps += trace.steps
    this.orders.add((trace.order + this.programs * 2 ** 32) % Number.MAX_SAFE_INTEGER)
    this.outcomes.add(`${this.programs} ${outcomeOf(trace)}`)
  }

  private smallest(program: Program, order: Order, law: string): LawBroken {
    const laws = this.laws.filter(({ name }) => name === law)
    let runs = 0
    const breaks = (candidate: Program): Order | undefined => {
      const points = order.preempt === undefined ? [] : pointsOf(this.make, candidate)
      const orders = points.length > 0 ? points.map((preempt) => ({ preempt })) : seedsFrom(order.seed ?? 0)
      return orders.find((each) => runs++ < effort.runs && replay(this.make, candidate, each, laws).length > 0)
    }
    let found = { program, order }
    for (let isSmaller = this.shrinks; isSmaller;) {
      isSmaller = false
      for (const candidate of smaller(found.program)) {
        const broken = breaks(candidate)
        if (broken === undefined) continue
        found = { program: candidate, order: broken }
        isSmaller = true
        break
      }
    }
    return new LawBroken({
      law,
      breaches: replay(this.make, found.program, found.order, laws).map(({ what }) => what),
      program: JSON.stringify(found.program),
      order: JSON.stringify(found.order)
    })
  }
}

const seedsFrom = (first: number): ReadonlyArray<Order> =>
  Array.from({ length: effort.orders }, (_, index) => ({ seed: first + index }))

const outcomeOf = ({ notes }: Trace): string =>
  notes
    .flatMap((note) => (note._tag === "State" ? [`${note.job}${note.state}${note.why}`] : []))
    .toSorted()
    .join()
