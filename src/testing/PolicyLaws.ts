/**
 * The eight promises of policies as laws, tried on generated stacks and programs in orders chosen by a seed.
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
 * await Effect.runPromise(PolicyLaws.check(myStack, PolicyLaws.generate(1))) // => true
 * ```
 */
import { Arbitrary, Effect, Predicate, Schema, type Scope } from "effect"
import * as Model from "../model/Model.ts"
import type { ModelProvider, Policy } from "../core/call/ModelProvider.ts"
import { Chance } from "./seed/Chance.ts"
import type { Allows, Law } from "./policy-laws/Law.ts"
import { type Breach, breachesOf, laws as allLaws } from "./policy-laws/AllLaws.ts"
import { generate, modelCount, type Program } from "./policy-laws/Program.ts"
import { smaller, smallerPlan } from "./policy-laws/Shrink.ts"
import * as Stack from "./policy-laws/Stack.ts"
import { rehearse } from "./policy-laws/Stage.ts"
import type { Trace } from "./policy-laws/Trace.ts"

export type { Allows, Law, Rate } from "./policy-laws/Law.ts"
export { type Breach, laws } from "./policy-laws/AllLaws.ts"
export * from "./policy-laws/OfAnswers.ts"
export {
  attemptsAreBounded,
  deadlineShrinks,
  interruptionLeavesNothing,
  neverTooEarly
} from "./policy-laws/OfAttempts.ts"
export * from "./policy-laws/OfState.ts"
export { type Answer, type Call, generate, type Program } from "./policy-laws/Program.ts"
export type { Layer, Plan } from "./policy-laws/Stack.ts"
export type { AttemptSeen, CallSeen, Ending, Left, Trace } from "./policy-laws/Trace.ts"

/**
 * A stack to check: policies, outermost first; or what puts them around a model, and may ask the program's other models.
 * With `allows`, what its options allow is held against it too.
 */
export type StackToCheck =
  | Policies
  | ((model: ModelProvider, others: ReadonlyArray<ModelProvider>) => Effect.Effect<ModelProvider, never, Scope.Scope>)
  | { readonly policies: Exclude<StackToCheck, { readonly policies: unknown }>; readonly allows: Allows }

type Policies = ReadonlyArray<Policy<Scope.Scope>>

/** A law did not hold. Stack and program are the smallest that were found to break it. */
export class LawBroken extends Schema.TaggedError<LawBroken>()("LawBroken", {
  law: Schema.String,
  /** What was wrong, one sentence for each breach. */
  breaches: Schema.Array(Schema.String),
  /** The stack, as JSON, of one that was generated. */
  plan: Schema.UndefinedOr(Schema.String),
  /** The program, as JSON. */
  program: Schema.String
}) {
  override get message(): string {
    const again = this.plan === undefined ? "check(stack" : `replay(${this.plan}`
    return `${this.law}: ${this.breaches.join("; ")}\nPolicyLaws.${again}, ${this.program})`
  }
}

/** Programs for property tests. One that breaks a law is made smaller as far as it still does. */
export const programs: Arbitrary.Arbitrary<Program> = Arbitrary.map(
  Arbitrary.schema(
    Schema.Struct({
      seed: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 })),
      /** Which of the smaller programs was taken, at each step of making it smaller; one that is not there is none. */
      steps: Schema.Array(Schema.Int)
    }),
    {
      shrink: ({ seed, steps }) =>
        Array.from(smaller(walk(seed, steps)), (_, step) => ({ seed, steps: [...steps, step] }))
    }
  ),
  ({ seed, steps }) => walk(seed, steps)
)

const walk = (seed: number, steps: ReadonlyArray<number>): Program =>
  steps.reduce((program, step) => Array.from(smaller(program))[step] ?? program, generate(seed))

/**
 * Runs a program against a stack: succeeds with true, as properties do, or fails with {@link LawBroken}.
 *
 * Takes no real time, and about a millisecond. The stack is built anew for each program.
 */
export const check = (
  stack: StackToCheck,
  program: Program,
  laws: ReadonlyArray<Law> = allLaws
): Effect.Effect<true, LawBroken> =>
  Effect.suspend(() => {
    const made = stackOf(stack)
    const trace = rehearse(made, program)
    const [breach] = breachesOf(trace, made.allows, laws)
    return breach === undefined ? Effect.succeed(true) : Effect.fail(broken(made, program, undefined, breach.law, laws))
  })

const stackOf = (stack: StackToCheck): Stack.Stack => {
  if ("policies" in stack) return { ...stackOf(stack.policies), allows: stack.allows }
  if (Predicate.isFunction(stack)) return { build: stack, allows: {}, others: modelCount - 1 }
  return { build: (provider) => Model.compose({ provider, policies: stack }), allows: {}, others: 0 }
}

export interface Options {
  /** How many stacks to try, each with a program of its own. Default 1,000. */
  readonly runs?: number | undefined
  /** The first seed; the others follow one by one. Default 0. */
  readonly seed?: number | undefined
  /** Which laws to hold. Default: all. */
  readonly laws?: ReadonlyArray<Law> | undefined
  /** Whether to make what breaks a law smaller, which takes a few seconds. Default true. */
  readonly shrink?: boolean | undefined
  /** The stack for a seed. Default: each policy alone in one of five, and random stacks of two to six. */
  readonly plan?: ((seed: number) => Plan) | undefined
}

type Plan = Stack.Plan

/** What holds where {@link Options} say nothing. */
export const defaults = { runs: 1_000, seed: 0, shrink: true } as const

/** What was tried. */
export interface Report {
  readonly runs: number
  /** Calls that were made, and attempts that were made for them. */
  readonly calls: number
  readonly attempts: number
  /** How often calls ended in each way. */
  readonly endings: Readonly<Record<string, number>>
  /** How often each policy was in a stack. */
  readonly policies: Readonly<Record<string, number>>
  /** Turns that fibers took in all runs together. */
  readonly steps: number
}

/**
 * Holds the laws against Holdfast's own policies, alone and in random stacks. Fails with {@link LawBroken} at the first
 * breach, stack and program made small.
 */
export const explore = (options: Options = {}): Effect.Effect<Report, LawBroken> =>
  Effect.gen(function* () {
    const { laws = allLaws, plan: planOf = planFor, runs = defaults.runs, seed: first = defaults.seed } = options
    const count = { calls: 0, attempts: 0, steps: 0 }
    const endings: Record<string, number> = {}
    const policies: Record<string, number> = {}
    for (let seed = first; seed < first + runs; seed++) {
      const plan = planOf(seed)
      const program = generate(seed)
      const stack = Stack.of(plan)
      const trace = rehearse(stack, program)
      const [breach] = breachesOf(trace, stack.allows, laws)
      if (breach !== undefined) {
        return yield* broken(stack, program, plan, breach.law, laws, options.shrink ?? defaults.shrink)
      }
      count.calls += trace.calls.length
      count.attempts += trace.attempts.length
      count.steps += trace.steps
      for (const { ended } of trace.calls) endings[ended] = (endings[ended] ?? 0) + 1
      for (const { is } of plan.policies) policies[is] = (policies[is] ?? 0) + 1
      if (seed % 100 === 0) yield* Effect.yieldNow
    }
    return { runs, ...count, endings, policies }
  })

/** The stack that {@link explore} tries with a seed. */
export const planFor = (seed: number): Plan => {
  const chance = new Chance(~seed)
  return seed % 5 === 0 ? Stack.single(Math.floor(seed / 5), chance) : Stack.random(chance)
}

/** Runs a generated stack and program once and says what was wrong: how a {@link LawBroken} is looked into. */
export const replay = (
  plan: Plan,
  program: Program,
  laws: ReadonlyArray<Law> = allLaws
): { readonly breaches: ReadonlyArray<Breach>; readonly trace: Trace } => {
  const stack = Stack.of(plan)
  const trace = rehearse(stack, program)
  return { breaches: breachesOf(trace, stack.allows, laws), trace }
}

/** In how many orders to look for a breach in what was made smaller; and how many runs in all. */
const effort = { orders: 8, runs: 4_000 }

const broken = (
  stack: Stack.Stack,
  program: Program,
  plan: Plan | undefined,
  name: string,
  laws: ReadonlyArray<Law>,
  shrinks = false
): LawBroken => {
  const law = laws.filter((each) => each.name === name)
  const breachesIn = (of: Stack.Stack, candidate: Program) => breachesOf(rehearse(of, candidate), of.allows, law)
  let found = { plan, stack, program }
  let runs = 0
  const breaks = (made: Stack.Stack, candidate: Program): Program | undefined =>
    Array.from({ length: effort.orders }, (_, index) => ({ ...candidate, order: candidate.order + index })).find(
      (each) => runs++ < effort.runs && breachesIn(made, each).length > 0
    )
  for (let isSmaller = shrinks; isSmaller;) {
    isSmaller = false
    for (const candidate of plansBelow(found.plan)) {
      const made = Stack.of(candidate)
      const program = breaks(made, found.program)
      if (program === undefined) continue
      found = { plan: candidate, stack: made, program }
      isSmaller = true
      break
    }
    if (isSmaller) continue
    for (const candidate of smaller(found.program)) {
      const program = breaks(found.stack, candidate)
      if (program === undefined) continue
      found = { ...found, program }
      isSmaller = true
      break
    }
  }
  return new LawBroken({
    law: name,
    breaches: breachesIn(found.stack, found.program).map(({ what }) => what),
    plan: found.plan === undefined ? undefined : JSON.stringify(found.plan),
    program: JSON.stringify(found.program)
  })
}

const plansBelow = (plan: Plan | undefined): Iterable<Plan> => (plan === undefined ? [] : smallerPlan(plan))
