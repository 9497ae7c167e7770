/** Whoever waits for a policy gains a point of priority with each `aging`: with that taken out nobody would be let through. */
import { assert, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { Caller } from "holdfast/core"
import type * as Copied from "holdfast/policy"
import { copyOf } from "./mutants/copy.ts"
import type { Mutant } from "./mutants/mutants.ts"

type Copy = typeof Copied

interface Case extends Pick<Mutant, "file" | "search" | "replace"> {
  readonly who: string
  /** A policy that lets one call a second through, for which ten seconds are worth a point. */
  readonly make: (
    copy: Copy
  ) => Effect.Effect<(call: Effect.Effect<void>) => Effect.Effect<unknown, unknown>, unknown, Scope.Scope>
  /** The tenant of a newcomer. */
  readonly tenant: (n: number) => string
}

const bulkhead = ({ Bulkhead }: Copy) => Bulkhead.make({ concurrency: 1, aging: "10 seconds" })

const cases: ReadonlyArray<Case> = [
  {
    who: "Bulkhead, among tenants that come once",
    file: "core/queue/FairQueue.ts",
    search: "new Heap(isBefore<Job>(agingMillis))",
    replace: "new Heap(isBefore<Job>(Infinity))",
    make: bulkhead,
    tenant: (n) => `new ${n}`
  },
  {
    who: "Bulkhead, within a tenant",
    file: "policy/gate/Gate.ts",
    search: "now - priority * this.settings.agingMillis",
    replace: "now - priority * 1e9",
    make: bulkhead,
    tenant: () => "patient"
  },
  {
    who: "RateLimit",
    file: "policy/rate-limit/CallQueue.ts",
    search: "asking.arrivedAt - asking.priority * this.settings.agingMillis",
    replace: "asking.arrivedAt - asking.priority * 1e9",
    make: ({ RateLimit }) =>
      RateLimit.make({ requests: { limit: 1, window: "1 second" }, burst: 1, aging: "10 seconds" }),
    tenant: (n) => `new ${n}`
  }
]

/** How many seconds a call waits that is ten points less urgent than a new one each second. */
const waited = ({ make, tenant }: Case, copy: Copy) =>
  Effect.gen(function* () {
    const limited = yield* make(copy)
    let isThrough = false
    const call = (as: Caller.Options, then: () => void = () => {}) =>
      Effect.forkChild(limited(Effect.andThen(Effect.sleep("1 second"), Effect.sync(then))).pipe(Caller.as(as)))
    yield* call({ tenant: "first", priority: 0 })
    yield* call({ tenant: "patient", priority: -10 }, () => (isThrough = true))
    for (let second = 0; second < 300; second++) {
      if (isThrough) return second
      yield* call({ tenant: tenant(second), priority: 0 })
      yield* TestClock.adjust("1 second")
    }
    return Infinity
  })

it.effect.each(cases)("$who lets a call through once its age outweighs newcomers, and no fault hides it", (each) =>
  Effect.gen(function* () {
    const load = (mutant?: Mutant) => Effect.promise(() => copyOf(mutant)<Copy>("policy/index.ts"))
    // Ten points of ten seconds each, and as long again as some calls take.
    assert.approximately(yield* waited(each, yield* load()), 105, 10)
    const { file, replace, search, who } = each
    assert.strictEqual(yield* waited(each, yield* load({ fault: who, breaks: "", file, search, replace })), Infinity)
  })
)
