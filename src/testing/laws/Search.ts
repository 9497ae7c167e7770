/**
 * Searches for a program that breaks a law, and for the smallest one that does: what the kits of laws have in common.
 *
 * Each kit has the same verbs. `laws` lists what is promised; `check` holds something of your own against them and fails at
 * the first breach; `explore` tries fresh programs and tells all that broke; `replay` runs one program again.
 */
import { Arbitrary, Effect, Random, Schema } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"
import * as ShownError from "../../core/ShownError.ts"

/** A law that did not hold, and what was wrong. */
export interface Breach {
  readonly law: string
  readonly what: string
}

export interface Options<Law> {
  /** How many programs to try, each in an order of its own. Default 1,000. */
  readonly runs?: number | undefined
  /** The first program's seed; the others follow one by one. Default 0, and of `explore` one that is drawn anew. */
  readonly seed?: number | undefined
  /** Which laws to hold. Default: all. */
  readonly laws?: ReadonlyArray<Law> | undefined
  /** Whether to make a program that breaks a law smaller, which takes a few seconds. Default true. */
  readonly shrink?: boolean | undefined
}

/** What holds where {@link Options} say nothing. */
export const defaults = { runs: 1_000, seed: 0, shrink: true } as const

/** How many programs that break a law `explore` looks for before it ends. */
const mostBroken = 10

/** A law did not hold. */
export class LawBroken extends ShownError.TaggedError<LawBroken>()("LawBroken", {
  kit: Schema.String,
  law: Schema.String,
  /** What was wrong, one sentence for each breach. */
  breaches: Schema.Array(Schema.String),
  /** The seed of the program that broke it first; none where programs are no matter of chance. */
  seed: Schema.UndefinedOr(Schema.Int),
  /** The smallest program that was found to break it, as JSON, for `replay`. */
  program: Schema.UndefinedOr(Schema.String)
}) {
  override get message(): string {
    const again = this.program === undefined ? "" : `\n${this.kit}.replay(mine, ${this.program})`
    return `${this.law}: ${this.breaches.join("; ")}${again}`
  }
}

/** What was tried. */
export interface Report {
  readonly seed: number
  readonly runs: number
  /** Turns that fibers took in all runs together. */
  readonly steps: number
}

/** What was tried, and what broke: one entry for each program, with the first law it broke. */
export type Explored<Counts> = Report & Counts & { readonly broken: ReadonlyArray<LawBroken> }

/** How programs of one kind are made, tried against something, and judged. */
export interface Kit<Program, Seen extends { readonly steps: number }, Law extends { readonly name: string }, Counts> {
  readonly name: string
  readonly laws: ReadonlyArray<Law>
  readonly generate: (seed: number) => Program
  readonly run: (program: Program, laws: ReadonlyArray<Law>) => Effect.Effect<Seen>
  readonly breaches: (seen: Seen, laws: ReadonlyArray<Law>) => ReadonlyArray<Breach>
  /** Programs that have a little less of everything, the boldest ways first. */
  readonly smaller: (program: Program) => Iterable<Program>
  /** The same program in other orders: one that was made smaller may break in another one only. */
  readonly orders: (program: Program) => Iterable<Program>
  /** Runs after which the smallest program found so far is given. */
  readonly effort: number
  /** Counts what was seen. */
  readonly tally: { readonly add: (seen: Seen, program: Program) => void; readonly counts: () => Counts }
}

/** Tries programs until one breaks a law, and fails with {@link LawBroken} then. */
export const check = <Program, Seen extends { readonly steps: number }, Law extends { readonly name: string }, Counts>(
  kit: Kit<Program, Seen, Law, Counts>,
  options: Options<Law> = {},
  programs?: Iterable<Program>
): Effect.Effect<Report & Counts, LawBroken> =>
  Effect.flatMap(
    Effect.suspend(() => tried(kit, options, defaults.seed, 1, programs)),
    ({ broken: [first], ...report }) =>
      first === undefined ? Effect.succeed({ ...kit.tally.counts(), ...report }) : Effect.fail(first)
  )

/** Tries one program: a property of programs, which holds or fails with {@link LawBroken}. */
export const keeps = <Program, Seen extends { readonly steps: number }, Law extends { readonly name: string }>(
  kit: Kit<Program, Seen, Law, unknown>,
  program: Program
): Effect.Effect<true, LawBroken> => Effect.as(check(kit, {}, [program]), true)

/** Programs for property tests. Whoever checks one makes it small: to draw another is not to draw a smaller one. */
export const drawn = <Program>(generate: (seed: number) => Program): Arbitrary.Arbitrary<Program> =>
  Arbitrary.map(seeds, generate)

const seeds = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 })), {
  shrink: () => []
})

/** Tries programs that nobody has tried before, and tells what broke. */
export const explore = <
  Program,
  Seen extends { readonly steps: number },
  Law extends { readonly name: string },
  Counts
>(
  kit: Kit<Program, Seen, Law, Counts>,
  options: Options<Law> = {}
): Effect.Effect<Explored<Counts>> =>
  Effect.map(
    Effect.flatMap(Random.nextIntBetween(0, 2 ** 31), (fresh) => tried(kit, options, fresh, mostBroken)),
    (report) => ({ ...kit.tally.counts(), ...report })
  )

/** Runs one program once more, by its seed or as it is, and gives what was seen and what was wrong. */
export const replay = <Program, Seen extends { readonly steps: number }, Law extends { readonly name: string }>(
  kit: Kit<Program, Seen, Law, unknown>,
  program: Program | number,
  laws: ReadonlyArray<Law> = kit.laws
): Effect.Effect<{ readonly breaches: ReadonlyArray<Breach>; readonly seen: Seen }> =>
  Effect.map(kit.run(typeof program === "number" ? kit.generate(program) : program, laws), (seen) => ({
    breaches: kit.breaches(seen, laws),
    seen
  }))

const tried = Effect.fnUntraced(function* <
  Program,
  Seen extends { readonly steps: number },
  Law extends { readonly name: string }
>(
  kit: Kit<Program, Seen, Law, unknown>,
  options: Options<Law>,
  fresh: number,
  most: number,
  programs?: Iterable<Program>
) {
  const check = OptionCheck.of(kit.name)
  const { laws = kit.laws } = options
  check.fields(options, fields)
  check.list("laws", laws)
  const count = check.whole("runs", options.runs ?? defaults.runs, 1)
  const seed = check.whole("seed", options.seed ?? fresh, Number.MIN_SAFE_INTEGER)
  const shrinks = check.flag("shrink", options.shrink ?? defaults.shrink)
  const broken: Array<LawBroken> = []
  let runs = 0
  let steps = 0
  for (const program of programs ?? generated(kit, seed, count)) {
    const seen = yield* kit.run(program, laws)
    kit.tally.add(seen, program)
    steps += seen.steps
    const [breach] = kit.breaches(seen, laws)
    if (breach !== undefined) {
      const law = laws.filter(({ name }) => name === breach.law)
      const found = shrinks ? yield* smallest(kit, program, law) : program
      const { breaches } = yield* replay(kit, found, law)
      broken.push(
        new LawBroken({
          kit: kit.name,
          law: breach.law,
          breaches: breaches.map(({ what }) => what),
          seed: programs === undefined ? seed + runs : undefined,
          program: JSON.stringify(found)
        })
      )
    }
    runs++
    if (broken.length >= most) break
    // Whoever waits for the whole may be interrupted, and others have their turn.
    if (runs % 10 === 0) yield* Effect.yieldNow
  }
  return { seed, runs, steps, broken }
})

const fields = { runs: true, seed: true, laws: true, shrink: true } as const

function* generated<Program>(
  kit: { readonly generate: (seed: number) => Program },
  seed: number,
  runs: number
): Iterable<Program> {
  for (let index = 0; index < runs; index++) yield kit.generate(seed + index)
}

/** Makes a program smaller for as long as a smaller one is found that still breaks the law. */
const smallest = Effect.fnUntraced(function* <
  Program,
  Seen extends { readonly steps: number },
  Law extends { readonly name: string }
>(kit: Kit<Program, Seen, Law, unknown>, program: Program, law: ReadonlyArray<Law>) {
  let left = kit.effort
  let found = program
  const next = Effect.fnUntraced(function* () {
    for (const candidate of kit.smaller(found)) {
      for (const each of kit.orders(candidate)) {
        if (left-- <= 0) return undefined
        if (kit.breaches(yield* kit.run(each, law), law).length > 0) return each
      }
    }
    return undefined
  })
  for (let less = yield* next(); less !== undefined; less = yield* next()) found = less
  return found
})

/** Lists with an item less, then lists with one item made smaller. */
export function* fewerOrLess<A>(items: ReadonlyArray<A>, less: (item: A) => Iterable<A>): Iterable<ReadonlyArray<A>> {
  yield* without(items)
  yield* each(items, less)
}

/** Lists with one item made smaller. */
export function* each<A>(items: ReadonlyArray<A>, less: (item: A) => Iterable<A>): Iterable<ReadonlyArray<A>> {
  for (const [index, item] of items.entries()) for (const other of less(item)) yield items.with(index, other)
}

/** Lists with an item less. */
export function* without<A>(items: ReadonlyArray<A>): Iterable<ReadonlyArray<A>> {
  for (const index of items.keys()) yield items.toSpliced(index, 1)
}
