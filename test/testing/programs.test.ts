import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect } from "effect"
import { JobStore } from "holdfast/durable"
import { Retry } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import { JobStoreLaws, PolicyLaws, SupervisorLaws } from "holdfast/testing"

const stubborn: ModelProvider.Policy = (next) =>
  Effect.succeed({ ...next, generateText: (request) => Effect.retry(next.generateText(request), { times: 2 }) })

describe("programs for property tests", () => {
  const store = JobStoreLaws.fromLayer(JobStore.layerMemory)
  it.effect.prop("of policies", [PolicyLaws.programs], ([program]) => PolicyLaws.check([Retry.transient()], program))
  it.effect.prop("of supervisors", [SupervisorLaws.programs], ([program]) =>
    SupervisorLaws.check(Supervisor.make, program)
  )
  it.effect.prop("of stores", [JobStoreLaws.programs], ([program]) => JobStoreLaws.check(store, program))

  it("break a law as they do by their seed, and are made small", async () => {
    const property = (program: PolicyLaws.Program) => PolicyLaws.check([stubborn], program)
    const result = await Effect.runPromise(Arbitrary.checkEffect(PolicyLaws.programs, property, { seed: 1 }))
    assert(result._tag === "Falsified" && result.failure._tag === "PropertyError")
    const { error } = result.failure
    assert.strictEqual(error.law, "attemptsAreBounded")
    assert.strictEqual(error.seed, undefined)
    assert.strictEqual(JSON.parse(error.program ?? "{}").clients.flat().length, 1)
  })

  it("of which one that kills the run says how", async () => {
    const broken: ModelProvider.Policy = () => Effect.die(new TypeError("policy.keyOf is not a function"))
    const { message } = await Effect.runPromise(Effect.flip(PolicyLaws.check([broken], { runs: 1 })))
    assert.include(message, "the run ended as die: TypeError: policy.keyOf is not a function")
  })
})
