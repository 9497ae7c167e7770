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
 * const report = await Effect.runPromise(SupervisorLaws.check(Supervisor.make, { runs: 100 }))
 * report.runs // => 100
 * ```
 */
import { type Arbitrary, Effect, Predicate } from "effect"
import * as OptionCheck from "../core/OptionCheck.ts"
import type { Law } from "./supervisor-laws/Law.ts"
import * as Search from "./laws/Search.ts"
import { breachesOf, laws as allLaws } from "./supervisor-laws/AllLaws.ts"
import { sameSeedSameRun } from "./supervisor-laws/OfRecords.ts"
import { generate } from "./supervisor-laws/Generate.ts"
import type { Program } from "./supervisor-laws/Program.ts"
import { smaller } from "./supervisor-laws/Shrink.ts"
import type { Make } from "./supervisor-laws/Handles.ts"
import { pointsOf, rehearse } from "./supervisor-laws/Stage.ts"
import { sweeps } from "./supervisor-laws/Sweep.ts"
import type { Trace } from "./supervisor-laws/Trace.ts"

export type { Law } from "./supervisor-laws/Law.ts"
export { type Breach, defaults, LawBroken } from "./laws/Search.ts"
export { laws } from "./supervisor-laws/AllLaws.ts"
export * from "./supervisor-laws/OfAttempts.ts"
export * from "./supervisor-laws/OfClosing.ts"
export * from "./supervisor-laws/OfLists.ts"
export * from "./supervisor-laws/OfRounds.ts"
export * from "./supervisor-laws/OfJobs.ts"
export * from "./supervisor-laws/OfRecords.ts"
export { healthSaysWhatIs, theLatestAreKept } from "./supervisor-laws/OfStock.ts"
export { neverMoreThanTheLimit, noSlotStaysFree } from "./supervisor-laws/OfSlots.ts"
export { asManyWaitAsMay, whoeverWaitsForRoomGoesFirst } from "./supervisor-laws/OfRoom.ts"
export { pausedJobsWait } from "./supervisor-laws/OfPauses.ts"
export { whoeverIsDueGoesNext } from "./supervisor-laws/OfTurns.ts"
export type { Job, Limits, Program, Step, Work } from "./supervisor-laws/Program.ts"
export type { Handles, Make, Own } from "./supervisor-laws/Handles.ts"
export type { Note, Trace } from "./supervisor-laws/Trace.ts"

/** How much is tried, and of what: see {@link defaults}. */
export interface Options extends Search.Options<Law> {}

/** What was tried. */
export interface Report extends Search.Report {
  /** How many different orders there were, counted for each program. */
  readonly orders: number
}

/**
 * Holds the laws against a supervisor of your own, in generated programs: the same ones each time, unless the options have
 * another seed. Fails with {@link LawBroken} at the first breach, its program made small.
 * Given a program it tries that one, and gives `true`: it is a property.
 *
 * Sleeps only in virtual time. A run takes some milliseconds.
 */
export function check(make: Make, options?: Options): Effect.Effect<Report, Search.LawBroken>
export function check(make: Make, program: Program): Effect.Effect<true, Search.LawBroken>
export function check(make: Make, given: Options | Program = {}) {
  return isProgram(given) ? Search.keeps(kitOf(make), given) : Search.check(kitOf(make), given)
}

/** Programs for property tests, to be given to {@link check} one by one. */
export const programs: Arbitrary.Arbitrary<Program> = Search.drawn(generate)

/** Tries programs that nobody has tried before, and tells what broke, each program made small; ends when ten have. */
export const explore = (make: Make, options?: Options): Effect.Effect<Search.Explored<Report>> =>
  Search.explore(kitOf(make), options)

/** Runs a program again, by its seed or as {@link LawBroken} shows it; gives what was seen and what was wrong. */
export const replay = (
  make: Make,
  program: Program | number,
  laws: ReadonlyArray<Law> = allLaws
): Effect.Effect<{ readonly breaches: ReadonlyArray<Search.Breach>; readonly trace: Trace }> =>
  Effect.map(Search.replay(kitOf(make), program, laws), ({ breaches, seen: { trace } }) => ({ breaches, trace }))

/**
 * Preempts every operation of every public call, one at a time, while another client does something else: each call
 * against each of the others, holding it back until nothing else is ready, and past the next timer. Fails with
 * {@link LawBroken} at the first breach.
 *
 * `share: 10` tries only every tenth point of each pair, which ones depends on the pair. Default 1.
 */
export const sweep = (
  make: Make,
  options: Pick<Options, "laws" | "shrink"> & { readonly share?: number | undefined } = {}
): Effect.Effect<Report, Search.LawBroken> =>
  Effect.suspend(() => {
    const { share, ...rest } = options
    const every = OptionCheck.of("SupervisorLaws").whole("share", share ?? 1, 1)
    return Search.check(kitOf(make), rest, swept(make, every))
  })

function* swept(make: Make, share: number): Iterable<Program> {
  for (const [number, unordered] of sweeps.entries()) {
    const program = { ...unordered, order: {} }
    const points = pointsOf(make, program).flatMap((point) => [point, { ...point, pastNextTimer: true }])
    for (const [index, preempt] of points.entries()) {
      if ((index + number) % share === 0) yield { ...program, order: { preempt } }
    }
  }
}

/** Seeds with which to look for a breach in a program that was made smaller; and how many runs in all. */
const effort = { orders: 100, runs: 5_000 }

/** How often a run is made twice, for the law that it is the same: once in so many. */
const repeatEvery = 50

// What every program has, and options have not.
const isProgram = (given: Options | Program): given is Program => Predicate.hasProperty(given, "clients")

const kitOf = (make: Make) => {
  let runs = 0
  const orders = new Set<number>()
  let programs = 0
  let last: Program["clients"] | undefined
  const twice = (laws: ReadonlyArray<Law>) =>
    laws.includes(sameSeedSameRun) && (laws.length === 1 || runs++ % repeatEvery === 0)
  return {
    name: "SupervisorLaws",
    laws: allLaws,
    generate,
    run: (program: Program, laws: ReadonlyArray<Law>) =>
      Effect.gen(function* () {
        const trace = yield* rehearse(make, program)
        const again = twice(laws) ? yield* rehearse(make, program) : undefined
        return { trace, again, steps: trace.steps }
      }),
    breaches: ({ again, trace }: Seen, laws: ReadonlyArray<Law>) => breachesOf(trace, again, laws),
    smaller,
    orders: (program: Program) => {
      const { preempt, seed = 0 } = program.order
      return preempt === undefined
        ? Array.from({ length: effort.orders }, (_, index) => ({ ...program, order: { seed: seed + index } }))
        : pointsOf(make, program).map((point) => ({ ...program, order: { preempt: point } }))
    },
    effort: effort.runs,
    tally: {
      // A sweep runs one program again and again, and what its clients do is the same list each time.
      add: ({ trace }: Seen, { clients }: Program) => {
        if (clients !== last) programs++
        last = clients
        orders.add((trace.order + programs * 2 ** 32) % Number.MAX_SAFE_INTEGER)
      },
      counts: () => ({ orders: orders.size })
    }
  }
}

interface Seen {
  readonly trace: Trace
  readonly again: Trace | undefined
  readonly steps: number
}
