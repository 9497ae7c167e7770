/**
 * The promises of every store of durable jobs as laws, tried on generated programs.
 *
 * A program is plain data: some settings, and what workers and people do with a store one after the other, and now and then at
 * the same time: submit, claim, renew, record, settle, cancel, queue again, expire, prune, list; with time that passes, a wall
 * clock that is set, and a store that is closed or dropped and opened again. Nobody listens to signals: all laws hold without.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { JobStore } from "holdfast/durable"
 * import { JobStoreLaws } from "holdfast/testing"
 *
 * const report = await Effect.runPromise(JobStoreLaws.check(JobStoreLaws.fromLayer(JobStore.layerMemory), { runs: 50 }))
 * report.runs // => 50
 * ```
 */
import { type Arbitrary, Context, Effect, Layer, Predicate } from "effect"
import { JobStore, type Options as StoreOptions } from "../durable/JobStore.ts"
import { breachesOf, laws as allLaws } from "./job-store-laws/AllLaws.ts"
import { generate } from "./job-store-laws/Generate.ts"
import type { Law } from "./job-store-laws/Law.ts"
import type { Program } from "./job-store-laws/Program.ts"
import { smaller } from "./job-store-laws/Shrink.ts"
import { type Make, play } from "./job-store-laws/Stage.ts"
import type { Trace } from "./job-store-laws/Trace.ts"
import * as Search from "./laws/Search.ts"

export { type Breach, defaults, LawBroken } from "./laws/Search.ts"
export { laws } from "./job-store-laws/AllLaws.ts"
export * from "./job-store-laws/OfJobs.ts"
export {
  attemptsAreRemembered,
  attemptsEndAsTold,
  limitsHold,
  lostWorkersLoseTheirJobs,
  nothingStartsEarly,
  oneClaimAtATime,
  staleTokensChangeNothing,
  whatCanRunIsGiven
} from "./job-store-laws/OfClaims.ts"
export * from "./job-store-laws/OfRecords.ts"
export { whoeverIsDueGoesNext } from "./job-store-laws/OfTurns.ts"
export type { Law } from "./job-store-laws/Law.ts"
export type { Program, Settings } from "./job-store-laws/Program.ts"
export type { Make, Opened, Place } from "./job-store-laws/Stage.ts"
export type { Note, Trace } from "./job-store-laws/Trace.ts"

/** How much is tried, and of what: see {@link defaults}. */
export interface Options extends Search.Options<Law> {}

/** What was tried. */
export interface Report extends Search.Report {
  /** How many claims were given in all runs together. */
  readonly claims: number
}

/** A store of a layer, whose jobs are gone when it is closed. */
export const fromLayer =
  (layer: (options: StoreOptions) => Layer.Layer<JobStore, never>): Make =>
  (settings) =>
    Effect.succeed({
      open: Effect.map(Layer.build(layer(settings)), (context) => ({ store: Context.get(context, JobStore) }))
    })

/**
 * Holds the laws against a store of your own, in generated programs: the same ones each time, unless the options have another
 * seed. Fails with {@link LawBroken} at the first breach, its program made small.
 * Given a program it tries that one, and gives `true`: it is a property.
 *
 * Time is the stage's: the store has to read it from `Clock`. A store that sleeps does so really.
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
  Effect.map(Search.replay(kitOf(make), program, laws), ({ breaches, seen }) => ({ breaches, trace: seen }))

/** Runs after which the smallest program found so far is given. */
const effort = 1_000

// What every program has, and options have not.
const isProgram = (given: Options | Program): given is Program => Predicate.hasProperty(given, "commands")

const kitOf = (make: Make) => {
  let claims = 0
  return {
    name: "JobStoreLaws",
    laws: allLaws,
    generate,
    run: (program: Program) => play(make, program),
    breaches: (trace: Trace, laws: ReadonlyArray<Law>) => breachesOf(trace, laws),
    smaller,
    orders: (program: Program) => [program],
    effort,
    tally: {
      add: ({ notes }: Trace) => {
        for (const { said } of notes) if (said.is === "claim") claims += said.answers.flat().length
      },
      counts: () => ({ claims })
    }
  }
}
