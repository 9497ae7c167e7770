import { Effect } from "effect"
import { Supervisor } from "holdfast/supervisor"
import { SupervisorLaws } from "holdfast/testing"
import { assert, describe, it } from "vitest"
import { withoutStackTraces } from "./stackTraces.ts"

withoutStackTraces()

// With the generated programs beside this file, the suite tries at least 100,000 interleavings.
describe("a supervisor that is preempted at the operations of its public calls", () => {
  it("keeps its promises, whatever another client does meanwhile", { timeout: 300_000 }, async () => {
    const report = await Effect.runPromise(SupervisorLaws.sweep(Supervisor.make, { share: 9 }))
    console.log(report)
    assert.isAtLeast(report.runs, 81_500)
    assert.isAtLeast(report.orders, 0.95 * report.runs)
  })
})
