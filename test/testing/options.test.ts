import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Option } from "effect"
import { PolicyLaws } from "holdfast/testing"
import { fieldsOf } from "../docs/pages.ts"
import { endless, given, isRefused, senseless, wholes } from "../optionWalk.ts"

/** What a stack may be said to allow, of the senseless values. */
const allowed: Readonly<Record<string, ReadonlyArray<string>>> = {
  attempts: wholes,
  overall: endless,
  attempt: endless,
  silence: endless,
  tokensPerSecond: ["0", "-0", "1.5", "2^31", "2^53+1"],
  retries: [],
  paced: ["true"],
  rates: ["an array"],
  tellsBehind: ["true"],
  closesBehind: ["true"],
  concurrency: wholes,
  everywhere: ["an object"],
  keys: []
}

it("all that a stack may be said to allow is tried here", () =>
  assert.deepStrictEqual(
    Object.keys(allowed).sort(),
    fieldsOf("src/testing/policy-laws/Law.ts", "Allows")
      .map(({ name }) => name)
      .sort()
  ))

it.effect.each<[string, object]>([
  ["everywhere has no option concurency: did you mean concurrency?", { everywhere: { concurency: 1 } }],
  ["everywhere.tokens must be a finite number", { everywhere: { tokens: Number.NaN } }],
  ["everywhere.perModel has no option burts: did you mean burst?", { everywhere: { perModel: { burts: 1 } } }],
  ["rates[0] has no option perMili: did you mean perMilli?", { rates: [{ burst: 1, perMili: 1 }] }],
  ["rates[0].burst must be a finite number", { rates: [{ burst: Number.NaN, perMilli: 1 }] }]
])("PolicyLaws says of what is within: %s", ([said, allows]) =>
  Effect.gen(function* () {
    const tried = Effect.suspend(() => PolicyLaws.check({ policies: [], allows }))
    const error = Cause.squash(Option.getOrThrow(Exit.getCause(yield* Effect.exit(tried))))
    assert.include(String(error), `PolicyLaws option ${said}`)
  })
)

it.effect.each(Object.keys(allowed))("PolicyLaws refuses a %s that makes no sense, by its name", (option) =>
  Effect.gen(function* () {
    for (const said of Object.keys(senseless)) {
      if (allowed[option]?.includes(said) === true) continue
      const check = Effect.suspend(() => PolicyLaws.check({ policies: [], allows: given(option, senseless[said]) }))
      assert.isTrue(yield* isRefused(check, "PolicyLaws", option), said)
    }
  })
)

it("PolicyLaws refuses a stack with a name that it does not know", () => {
  const stack = { policies: [], alows: {} }
  assert.throws(() => PolicyLaws.check(stack), /PolicyLaws has no option alows: did you mean allows\?/)
})
