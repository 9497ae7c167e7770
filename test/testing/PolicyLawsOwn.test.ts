import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { PolicyReason } from "holdfast/core"
import type { ModelProvider } from "holdfast/provider"
import { PolicyLaws } from "holdfast/testing"

/** Turns whole answers away in which the model reasons. */
const picky: ModelProvider.Policy = (next) => {
  const willNotDo = PolicyReason.toAiError("picky", {
    _tag: "Custom",
    policy: "picky",
    description: "an answer without reasoning was wanted",
    retryable: false,
    facts: {}
  })
  return Effect.succeed({
    ...next,
    generateText: (request) =>
      Effect.filterOrFail(
        next.generateText(request),
        (parts) => parts.every(({ type }) => type !== "reasoning"),
        () => willNotDo
      )
  })
}

describe("a policy of an application's own under the laws", () => {
  it.live("may turn a complete answer away with a reason of its own, as Race may with NotAcceptable", () =>
    Effect.map(PolicyLaws.check([picky], { runs: 100 }), ({ runs }) => assert.strictEqual(runs, 100))
  )
})
