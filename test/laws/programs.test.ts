import { Effect } from "effect"
import { Supervisor } from "holdfast/supervisor"
import { SupervisorLaws } from "holdfast/testing"
import { assert, describe, it } from "vitest"

// Not the same ones every time: what a run finds, its message replays.
const seed = Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Date.now() / 1000) * 1_000)

describe("a supervisor under generated programs", () => {
  it(`keeps its promises in 45,000 orders (HOLDFAST_SEED=${seed})`, { timeout: 300_000 }, async () => {
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    const report = await Effect.runPromise(SupervisorLaws.check(Supervisor.make, { programs: 15_000, orders: 3, seed }))
    Error.stackTraceLimit = stackTraceLimit
    console.log(report)
    assert.strictEqual(report.runs, 45_000)
    assert.isAtLeast(report.orders, 0.9 * report.runs)
    assert.isAtLeast(report.outcomes, report.programs)
  })
})
