/**
 * The ten promises of policies as laws, tried on generated stacks and programs in orders chosen by a seed.
 *
 * A program is plain data: how up to three models answer, fail, stall and cut off, and what up to three clients ask at the
 * same time: whole answers and streams, slow readers and such that leave early, callers that are interrupted anywhere,
 * for tenants, with priorities and deadlines. What callers got is held against what the models saw.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Retry, Timeout } from "holdfast/policy"
 * import { PolicyLaws } from "holdfast/testing"
 *
 * const myStack = [Timeout.overall("30 seconds"), Retry.transient({ times: 2 }), Timeout.perAttempt("5 seconds")]
 *
 * const report = await Effect.runPromise(PolicyLaws.check(myStack, { runs: 100 }))
 * report.runs // => 100
 * ```
 */
import { type Arbitrary, Effect, Predicate, type Scope } from "effect"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as Model from "../model/Model.ts"
import type { Policy } from "../core/call/ModelProvider.ts"
import { Chance } from "./seed/Chance.ts"
import { type Allows, bounds, type Everywhere, type Law, type Rate } from "./policy-laws/Law.ts"
import * as Search from "./laws/Search.ts"
import { breachesOf, laws as allLaws } from "./policy-laws/AllLaws.ts"
import { generate, modelCount, type Plan, type Program } from "./policy-laws/Program.ts"
import { smaller } from "./policy-laws/Shrink.ts"
import * as Stack from "./policy-laws/Stack.ts"
import { rehearse } from "./policy-laws/Stage.ts"
import type { Trace } from "./policy-laws/Trace.ts"

export type { Allows, Concurrency, Everywhere, Law, Rate } from "./policy-laws/Law.ts"
export { type Breach, defaults, LawBroken } from "./laws/Search.ts"
export { laws } from "./policy-laws/AllLaws.ts"
export * from "./policy-laws/OfAnswers.ts"
export {
  attemptsAreBounded,
  deadlineShrinks,
  interruptionLeavesNothing,
  neverTooEarly
} from "./policy-laws/OfAttempts.ts"
export * from "./policy-laws/OfProviders.ts"
export * from "./policy-laws/OfRequests.ts"
export * from "./policy-laws/OfState.ts"
export type { Answer, Call, Layer, Plan, Program } from "./policy-laws/Program.ts"
export type { Asked } from "./policy-laws/Requests.ts"
export type { AttemptSeen, CallSeen, Ending, Left, Trace } from "./policy-laws/Trace.ts"

/**
 * A stack to check: policies, outermost first; or what puts them around a model, and may ask the program's other models.
 * With `allows`, what its options allow is held against it too. With `draw`, each program has a stack of its own.
 */
export type StackToCheck =
  | Policies
  | { readonly draw: (seed: number) => Plan }
  | Builder
  | { readonly policies: Fixed; readonly allows?: Allows | undefined }

type Policies = ReadonlyArray<Policy<Scope.Scope>>
type Builder = Stack.Stack["build"]
type Fixed = Policies | Builder

/** Holdfast's own policies: each alone in one program of five, else random stacks of two to six. */
export const own = {
  draw: (seed: number): Plan => {
    const chance = new Chance(~seed)
    return seed % 5 === 0 ? Stack.single(Math.floor(seed / 5), chance) : Stack.random(chance)
  }
}

/** How much is tried, and of what: see {@link defaults}. */
export interface Options extends Search.Options<Law> {}

/** What was tried. */
export interface Report extends Search.Report, Counts {}

interface Counts {
  /** Calls that were made, and attempts that were made for them. */
  readonly calls: number
  readonly attempts: number
  /** How often calls ended in each way. */
  readonly endings: Readonly<Record<string, number>>
  /** How often each policy was in a stack that was drawn. */
  readonly policies: Readonly<Record<string, number>>
}

/**
 * Holds the laws against a stack of your own, in generated programs: the same ones each time, unless the options have another
 * seed. Fails with {@link LawBroken} at the first breach, its program made small.
 * Given a program it tries that one, and gives `true`: it is a property.
 *
 * A run takes no real time, and about a millisecond. The stack is built anew for each.
 */
export function check(stack: StackToCheck, options?: Options): Effect.Effect<Report, Search.LawBroken>
export function check(stack: StackToCheck, program: Program): Effect.Effect<true, Search.LawBroken>
export function check(stack: StackToCheck, given: Options | Program = {}) {
  return isProgram(given) ? Search.keeps(kitOf(stack), given) : Search.check(kitOf(stack), given)
}

/** Programs for property tests, to be given to {@link check} one by one. */
export const programs: Arbitrary.Arbitrary<Program> = Search.drawn(generate)

/** Tries programs that nobody has tried before, and tells what broke, each program made small; ends when ten have. */
export const explore = (stack: StackToCheck, options?: Options): Effect.Effect<Search.Explored<Report>> =>
  Search.explore(kitOf(stack), options)

/** Runs a program again, by its seed or as {@link LawBroken} shows it; gives what was seen and what was wrong. */
export const replay = (
  stack: StackToCheck,
  program: Program | number,
  laws: ReadonlyArray<Law> = allLaws
): Effect.Effect<{ readonly breaches: ReadonlyArray<Search.Breach>; readonly trace: Trace }> =>
  Effect.map(Search.replay(kitOf(stack), program, laws), ({ breaches, seen: { trace } }) => ({ breaches, trace }))

const stackOf = (given: StackToCheck, { stack }: Program): Stack.Stack => {
  if (stack !== undefined) return Stack.of(stack)
  if ("draw" in given)
    throw new RangeError("this program has no stack: replay it against the one that it was found with")
  if ("policies" in given) return { ...fixed(given.policies), allows: given.allows ?? {} }
  return fixed(given)
}

const fixed = (given: Fixed): Stack.Stack =>
  Predicate.isFunction(given)
    ? { build: given, allows: {}, others: modelCount - 1 }
    : { build: (provider) => Model.compose({ provider, policies: given }), allows: {}, others: 0 }

const optionCheck = OptionCheck.of("PolicyLaws")
const boundCheck = OptionCheck.of("PolicyLaws option concurrency")

const known: OptionCheck.Fields<Allows> = {
  attempts: true,
  overall: true,
  attempt: true,
  silence: true,
  tokensPerSecond: true,
  retries: true,
  paced: true,
  rates: true,
  tellsBehind: true,
  closesBehind: true,
  concurrency: true,
  everywhere: true,
  keys: true
}

const checkRate = (name: string, rate: Rate): void => {
  optionCheck.fields(rate, { burst: true, perMilli: true, ofAnswers: true, perTenant: true }, name)
  optionCheck.number(`${name}.burst`, rate.burst, { atLeast: 0 })
  optionCheck.number(`${name}.perMilli`, rate.perMilli, { atLeast: 0 })
}

const checkEverywhere = (everywhere: Everywhere): void => {
  const known = { concurrency: true, attempt: true, perModel: true, perTenant: true, tokens: true } as const
  optionCheck.fields(everywhere, known, "everywhere")
  const { attempt, concurrency, perModel, perTenant, tokens } = everywhere
  for (const [name, rate] of Object.entries({ perModel, perTenant })) {
    if (rate !== undefined) checkRate(`everywhere.${name}`, rate)
  }
  if (concurrency !== undefined) optionCheck.whole("everywhere.concurrency", concurrency, 1)
  for (const [name, most] of Object.entries({ attempt, tokens })) {
    if (most !== undefined) optionCheck.number(`everywhere.${name}`, most, { atLeast: 0 })
  }
}

/** What is misspelt, or no number, would be held against nobody. */
const checkAllows = (allows: Allows): void => {
  optionCheck.record("allows", allows)
  optionCheck.fields(allows, known)
  const { attempt, attempts, concurrency, everywhere, keys, overall, rates, retries, silence, tokensPerSecond } = allows
  const { closesBehind, paced, tellsBehind } = allows
  if (attempts !== undefined) optionCheck.whole("attempts", attempts, 1)
  if (tokensPerSecond !== undefined) optionCheck.number("tokensPerSecond", tokensPerSecond, { atLeast: 0 })
  if (rates !== undefined) optionCheck.list("rates", rates)
  for (const [index, rate] of (rates ?? []).entries()) checkRate(`rates[${index}]`, rate)
  if (everywhere !== undefined) checkEverywhere(everywhere)
  for (const [name, values] of Object.entries({ everywhere, keys, retries })) {
    if (values !== undefined) optionCheck.record(name, values)
  }
  for (const [name, most] of Object.entries(keys ?? {})) optionCheck.whole(`keys.${name}`, most, 0)
  for (const [name, number] of Object.entries({
    "retries.reserve": retries?.reserve,
    "retries.ratio": retries?.ratio
  })) {
    if (retries !== undefined) optionCheck.number(name, number ?? Number.NaN, { atLeast: 0 })
  }
  for (const [name, flag] of Object.entries({ closesBehind, paced, tellsBehind })) {
    if (flag !== undefined) optionCheck.flag(name, flag)
  }
  for (const [name, time] of Object.entries({ attempt, overall, silence })) {
    if (time !== undefined) optionCheck.millis(name, time, { endless: true })
  }
  if (concurrency === undefined) return
  if (Predicate.isNumber(concurrency)) {
    optionCheck.whole("concurrency", concurrency, 1)
    return
  }
  const wanted = "a whole number of at least 1, or the bounds { atMost, atLeast }"
  const isBounds = Predicate.hasProperty(concurrency, "atMost") || Predicate.hasProperty(concurrency, "atLeast")
  if (!isBounds) optionCheck.reject("concurrency", wanted, concurrency)
  boundCheck.fields(concurrency, { atMost: true, atLeast: true })
  const { atLeast, atMost } = bounds(concurrency)
  boundCheck.whole("atLeast", atLeast, 0)
  if (atMost !== Infinity) boundCheck.whole("atMost", atMost, Math.max(1, atLeast))
}

/** In how many orders to look for a breach in what was made smaller; and how many runs in all. */
const effort = { orders: 8, runs: 4_000 }

// What every program has, and options have not.
const isProgram = (given: Options | Program): given is Program => Predicate.hasProperty(given, "clients")

const kitOf = (stack: StackToCheck) => {
  const count = { calls: 0, attempts: 0 }
  const endings: Record<string, number> = {}
  const policies: Record<string, number> = {}
  if ("draw" in stack) optionCheck.callback("draw", stack.draw)
  if ("policies" in stack) optionCheck.fields(stack, { policies: true, allows: true })
  if ("policies" in stack && stack.allows !== undefined) checkAllows(stack.allows)
  return {
    name: "PolicyLaws",
    laws: allLaws,
    generate: (seed: number): Program =>
      "draw" in stack ? { ...generate(seed), stack: stack.draw(seed) } : generate(seed),
    run: (program: Program) =>
      Effect.sync(() => {
        const built = stackOf(stack, program)
        const trace = rehearse(built, program)
        return { trace, allows: built.allows, steps: trace.steps }
      }),
    breaches: ({ allows, trace }: Seen, laws: ReadonlyArray<Law>) => breachesOf(trace, allows, laws),
    smaller,
    orders: (program: Program) =>
      Array.from({ length: effort.orders }, (_, index) => ({ ...program, order: program.order + index })),
    effort: effort.runs,
    tally: {
      add: ({ trace }: Seen, { stack: plan }: Program) => {
        count.calls += trace.calls.length
        count.attempts += trace.attempts.length
        for (const { ended } of trace.calls) endings[ended] = (endings[ended] ?? 0) + 1
        for (const { is } of plan?.policies ?? []) policies[is] = (policies[is] ?? 0) + 1
      },
      counts: () => ({ ...count, endings, policies })
    }
  }
}

interface Seen {
  readonly trace: Trace
  readonly allows: Allows
  readonly steps: number
}
