/** Makes behaviours by chance: the same ones for the same seed, and smaller ones when a property test has failed. */
import { Arbitrary, Schema } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"
import { Chance } from "../seed/Chance.ts"
import type {
  Because,
  Behaviour,
  Content,
  Fault,
  Flood,
  Latency,
  Noise,
  Point,
  PointInside,
  Rejection
} from "./Behaviour.ts"
import type { Call } from "./Script.ts"

/** What chance may choose from. */
export interface Choices {
  /**
   * The faults that may happen, each as often as the others. Half of the behaviours have one, unless this is empty.
   * Default: all but `die`.
   */
  readonly faults?: ReadonlyArray<Fault["is"]> | undefined
}

export const defaults = {
  faults: ["refuse", "cut", "error", "end", "malformed", "stall"]
} as const satisfies Choices

/**
 * A script by chance: the same behaviours for the same seed, whatever is called and when.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { FaultyModel } from "holdfast/testing"
 *
 * const script = FaultyModel.fromSeed(42, { faults: ["refuse", "cut"] })
 * const { provider } = Effect.runSync(FaultyModel.make({ script }))
 * provider.name // => "faulty"
 * ```
 */
export const fromSeed = (seed: number, choices: Choices = {}): ((call: Pick<Call<unknown>, "number">) => Behaviour) => {
  const faults = faultsOf(choices)
  const start = new Chance(check.whole("seed", seed, Number.MIN_SAFE_INTEGER)).below(2 ** 32)
  return ({ number }) => {
    const chance = new Chance(start + number)
    return new Drawing((limit) => chance.below(limit), faults).behaviour()
  }
}

/**
 * Behaviours for property tests. One that makes a property fail is made simpler as far as it still fails: no fault, no
 * flood, no latency, one short text.
 *
 * **Example**
 *
 * ```ts run
 * import { Arbitrary, Effect } from "effect"
 * import { FaultyModel } from "holdfast/testing"
 *
 * const scripts = Arbitrary.array(FaultyModel.behaviours(), { minLength: 1, maxLength: 4 })
 * const neverStalls = (script: ReadonlyArray<FaultyModel.Behaviour>) => script.every(({ fault }) => fault?.is !== "stall")
 * const result = await Effect.runPromise(Arbitrary.checkEffect(scripts, neverStalls, { seed: 1 }))
 * result._tag === "Falsified" && result.shrunkInput // => [{ fault: { is: "stall", at: "headers" } }]
 * ```
 */
export const behaviours = (choices: Choices = {}): Arbitrary.Arbitrary<Behaviour> => {
  const faults = faultsOf(choices)
  return Arbitrary.map(numbers, (drawn) => {
    let at = 0
    return new Drawing((limit) => (drawn[at++] ?? 0) % limit, faults).behaviour()
  })
}

const check = OptionCheck.of("FaultyModel")

const faultsOf = (choices: Choices): ReadonlyArray<Fault["is"]> => {
  check.fields(choices, { faults: true })
  const { faults = defaults.faults } = choices
  check.list("faults", faults)
  for (const fault of faults) check.oneOf("faults", fault, [...defaults.faults, "die"])
  return faults
}

/** As many numbers as are drawn for a behaviour, and a few more. */
const most = 24
/** No choice is among more than so many. */
const widest = 12
const numbers = Arbitrary.schema(
  Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_003 }))).check(
    Schema.isBetweenLength(most, most)
  ),
  { shrink: (drawn) => [...smaller(drawn, () => [0]), ...smaller(drawn, (number) => range(1, number))] }
)

/** What becomes of a list when one of its numbers becomes one of those that are smaller. */
const smaller = (
  drawn: ReadonlyArray<number>,
  than: (number: number) => ReadonlyArray<number>
): ReadonlyArray<ReadonlyArray<number>> =>
  drawn.flatMap((number, at) => (number === 0 ? [] : than(number).map((less) => drawn.with(at, less))))

const range = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: Math.max(0, Math.min(to, widest) - from) }, (_, offset) => from + offset)

/** Draws a whole number from 0 up to a limit, without it. Everywhere below, 0 is the simplest choice. */
type Draw = (limit: number) => number

/** Draws as many numbers for each behaviour, needed or not, so that each number has one meaning. */
class Drawing {
  private readonly draw: Draw
  private readonly faults: ReadonlyArray<Fault["is"]>

  constructor(draw: Draw, faults: ReadonlyArray<Fault["is"]>) {
    this.draw = draw
    this.faults = faults
  }

  behaviour(): Behaviour {
    const fault = this.fault()
    const flood = this.onceIn(8, () => this.flood())
    const latency = this.onceIn(2, () => this.latency())
    const content = this.onceIn(2, () => this.content())
    return {
      ...(fault === undefined ? {} : { fault }),
      ...(flood === undefined ? {} : { flood }),
      ...(latency === undefined ? {} : { latency }),
      ...(content === undefined ? {} : { content })
    }
  }

  private fault(): Fault | undefined {
    const is = this.onceIn(2, () => this.faults[this.draw(this.faults.length)])
    const rejection = this.rejection()
    const inside = this.point()
    const at: Point = this.draw(3) === 0 ? "headers" : inside
    const keepAlive = this.onceIn(3, () => ({ every: this.oneOf([1_000, 100]), as: this.noise() }))
    switch (is) {
      case undefined:
        return undefined
      case "refuse":
        return { is, ...rejection }
      case "error":
        return { is, at: inside, ...rejection }
      case "stall":
        return { is, at, ...(keepAlive === undefined || at === "headers" ? {} : { keepAlive }) }
      case "cut":
      case "die":
        return { is, at }
      case "end":
      case "malformed":
        return { is, at: inside }
    }
  }

  private rejection(): Rejection {
    const because: Because = this.oneOf([
      "server error",
      "rate limited",
      "rate limited",
      "overloaded",
      "overloaded",
      "quota exhausted",
      "unauthorized",
      "forbidden",
      "invalid request",
      "unknown model",
      "content policy"
    ])
    const retryAfter = this.onceIn(2, () => this.oneOf([1_000, 250, 5_000, 30_000]))
    const waits = because === "rate limited" || because === "overloaded"
    return { because, ...(retryAfter === undefined || !waits ? {} : { retryAfter }) }
  }

  private point(): PointInside {
    return this.oneOf<PointInside>([
      "content",
      { after: 1 },
      { after: 2 },
      { after: 1, in: "text" },
      { after: 1, in: "tool-call" },
      "finish"
    ])
  }

  private flood(): Flood {
    return {
      at: this.point(),
      count: this.oneOf([1, 10, 100]),
      as: this.noise(),
      every: this.oneOf([0, 1, 100])
    }
  }

  private noise(): Noise {
    return this.oneOf(["empty deltas", "comments"])
  }

  private latency(): Latency {
    const time = () => this.oneOf([0, 1, 10, 100, 1_000, 10_000])
    return { headers: time(), content: time(), gap: this.oneOf([0, 1, 10, 100, 1_000]) }
  }

  private content(): ReadonlyArray<Content> {
    const text: Content = { text: "Kelp holds — 海藻, 🌊.", chunks: this.oneOf([1, 3, 20]) }
    const toolCall: Content = { toolCall: { id: "call-1", name: "Weather", params: { city: "Rome" } } }
    return this.oneOf<ReadonlyArray<Content>>([
      [text],
      [],
      [toolCall],
      [{ reasoning: "What holds?" }, text],
      [{ reasoning: "What holds?" }, text, toolCall]
    ])
  }

  private onceIn<A>(times: number, make: () => A): A | undefined {
    const isChosen = this.draw(times) === times - 1
    const made = make()
    return isChosen ? made : undefined
  }

  private oneOf<const A>(choices: readonly [A, ...ReadonlyArray<A>]): A {
    return choices[this.draw(choices.length)] ?? choices[0]
  }
}
