/**
 * Tries to break the supervisor's promises, for as long as you like: `npm run explore -- --runs 5000000 --seed 1`.
 *
 * First comes the sweep, which preempts every operation of every public call; then generated programs, each in ten orders.
 * Prints how far it is once a second, and what broke, small and ready to be replayed. Exits with 1 when something did.
 */
import { parseArgs } from "node:util"
import { Effect, Result } from "effect"
import { Supervisor } from "holdfast/supervisor"
import { SupervisorLaws } from "holdfast/testing"

const { values } = parseArgs({
  options: { runs: { type: "string", default: "1000000" }, seed: { type: "string", default: "0" } }
})
const runs = Number(values.runs)
const orders = 10
// Programs that are tried between two lines of output.
const batch = 100
let seed = Number(values.seed)
Error.stackTraceLimit = 0

const total = { runs: 0, orders: 0, outcomes: 0, steps: 0, broken: 0 }
const start = performance.now()
const perSecond = (count: number) => Math.round(count / ((performance.now() - start) / 1000)).toLocaleString("en")

const note = (what: string, result: Result.Result<SupervisorLaws.Report, SupervisorLaws.LawBroken>) => {
  if (Result.isFailure(result)) {
    total.broken++
    console.log(`${what}: BROKEN ${result.failure.message}`)
    return
  }
  total.runs += result.success.runs
  total.orders += result.success.orders
  total.outcomes += result.success.outcomes
  total.steps += result.success.steps
}

// The sweep has about 460,000 points; up to a third of the runs go to it.
const share = Math.max(1, Math.ceil(1_400_000 / runs))
note("sweep", await Effect.runPromise(Effect.result(SupervisorLaws.sweep(Supervisor.make, { share }))))
console.log(`sweep: ${total.runs.toLocaleString("en")} preemptions, ${perSecond(total.runs)} runs/s`)

for (let printed = performance.now(); total.runs < runs && total.broken < 10; seed += batch) {
  const options = { seed, programs: batch, orders }
  note(`seeds from ${seed}`, await Effect.runPromise(Effect.result(SupervisorLaws.check(Supervisor.make, options))))
  if (performance.now() - printed < 1000) continue
  printed = performance.now()
  console.log(`seed ${seed}: ${total.runs.toLocaleString("en")} runs, ${perSecond(total.runs)} runs/s`)
}

console.log(
  [
    `${total.runs.toLocaleString("en")} interleavings, ${total.orders.toLocaleString("en")} of them distinct`,
    `${total.outcomes.toLocaleString("en")} distinct outcomes, ${total.steps.toLocaleString("en")} turns of fibers`,
    `seeds ${values.seed} to ${seed - 1}, ${perSecond(total.runs)} runs/s, ${total.broken} broken`
  ].join("\n")
)
process.exitCode = total.broken === 0 ? 0 : 1
