/** Makes behaviours by chance: the same ones for the same seed, and smaller ones when a property test has failed. */
import { Arbitrary, Schema } from "effect"
import { Chance } from "./Chance.ts"
import type {
  Because,
  Behaviour,
  Content,
  Fault,
  Flood,
  Latency,
  Noise,
  Point,
  PointInside
} from "./FaultyModelBehaviour.ts"
import type { Call } from "./FaultyModelScript.ts"

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
  const start = new Chance(seed).below(2 ** 32)
  return ({ number }) => {
    const chance = new Chance(start + number)
    return new Drawing((limit) => chance.below(limit), choices).behaviour()
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
 * const check = Arbitrary.checkEffect(scripts, (script) => script.every(({ fault }) => fault?.is !== "stall"))
 * const result = await Effect.runPromise(check)
 * result._tag === "Falsified" && result.shrunkInput // => [{ fault: { is: "stall", at: "headers" } }]
 * ```
 */
export const behaviours = (choices: Choices = {}): Arbitrary.Arbitrary<Behaviour> =>
  Arbitrary.map(numbers, (drawn) => {
    let at = 0
    return new Drawing((limit) => (drawn[at++] ?? 0) % limit, choices).behaviour()
  })

/** More than any behaviour needs, so that each number keeps its meaning while others become smaller. */
const most = 40
const numbers = Arbitrary.array(
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_003 }))),
  { minLength: most, maxLength: most }
)

/** Draws a whole number from 0 up to a limit, without it. Everywhere below, 0 is the simplest choice. */
type Draw = (limit: number) => number

class Drawing {
  private readonly draw: Draw
  private readonly faults: ReadonlyArray<Fault["is"]>

  constructor(draw: Draw, choices: Choices) {
    this.draw = draw
    this.faults = choices.faults ?? defaults.faults
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
    switch (is) {
      case undefined:
        return undefined
      case "refuse":
        return { is, ...this.refusal() }
      case "error":
        return { is, at: this.pointInside(), ...this.refusal() }
      case "stall": {
        const at = this.point()
        const keepAlive = this.onceIn(3, () => ({ every: this.oneOf([1_000, 100]), as: this.noise() }))
        return { is, at, ...(keepAlive === undefined || at === "headers" ? {} : { keepAlive }) }
      }
      case "cut":
      case "die":
        return { is, at: this.point() }
      case "end":
      case "malformed":
        return { is, at: this.pointInside() }
    }
  }

  private refusal() {
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
    const retryAfter =
      because === "rate limited" || because === "overloaded"
        ? this.onceIn(2, () => this.oneOf([1_000, 250, 5_000, 30_000]))
        : undefined
    return { because, ...(retryAfter === undefined ? {} : { retryAfter }) }
  }

  private point(): Point {
    return this.draw(3) === 0 ? "headers" : this.pointInside()
  }

  private pointInside(): PointInside {
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
      at: this.pointInside(),
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
    return this.draw(times) === times - 1 ? make() : undefined
  }

  private oneOf<const A>(choices: readonly [A, ...ReadonlyArray<A>]): A {
    return choices[this.draw(choices.length)] ?? choices[0]
  }
}
