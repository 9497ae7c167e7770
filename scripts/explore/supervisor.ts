/**
 * Tries to break the supervisor's promises, for as long as you like: `npm run explore -- --runs 5000000`.
 *
 * First comes the sweep, which preempts every operation of every public call; then programs from a fresh seed, or from
 * `--seed 1` on. Prints how far it is, and what broke, small and ready to be replayed. Exits with 1 when something did.
 */
import { parseArgs } from "node:util"
import { Effect, Result } from "effect"
import { Supervisor } from "holdfast/supervisor"
import { SupervisorLaws } from "holdfast/testing"

const { values } = parseArgs({
  options: { runs: { type: "string", default: "1000000" }, seed: { type: "string" } }
})
const runs = Number(values.runs)
// Programs that are tried between two lines of output.
const batch = 1_000
Error.stackTraceLimit = 0

const total = { runs: 0, orders: 0, steps: 0, broken: 0 }
const start = performance.now()
const perSecond = (count: number) => Math.round(count / ((performance.now() - start) / 1000)).toLocaleString("en")

const note = (report: SupervisorLaws.Report, broken: ReadonlyArray<SupervisorLaws.LawBroken>) => {
  for (const each of broken) console.log(`seed ${each.seed}: BROKEN ${each.message}`)
  total.runs += report.runs
  total.orders += report.orders
  total.steps += report.steps
  total.broken += broken.length
}

// The sweep has about 600,000 points; up to a third of the runs go to it. Each run makes a supervisor, by which it is counted.
const share = Math.max(1, Math.ceil(1_800_000 / runs))
let made = 0
const make: typeof Supervisor.make = (options) => {
  if (++made % (10 * batch) === 0) console.log(`sweep: ${made.toLocaleString("en")} supervisors made`)
  return Supervisor.make(options)
}
const swept = await Effect.runPromise(Effect.result(SupervisorLaws.sweep(make, { share })))
if (Result.isSuccess(swept)) note(swept.success, [])
else note({ seed: 0, runs: 0, orders: 0, steps: 0 }, [swept.failure])
console.log(`sweep: ${total.runs.toLocaleString("en")} preemptions, ${perSecond(total.runs)} runs/s`)

let next = values.seed === undefined ? undefined : Number(values.seed)
let first = next
while (total.runs < runs && total.broken < 10) {
  const options = { seed: next, runs: Math.min(batch, runs - total.runs) }
  const report = await Effect.runPromise(SupervisorLaws.explore(Supervisor.make, options))
  note(report, report.broken)
  first ??= report.seed
  next = report.seed + report.runs
  console.log(
    `seed ${next}: ${total.runs.toLocaleString("en")} runs, ${perSecond(total.runs)} runs/s, ${total.broken} broken`
  )
}

console.log(
  [
    `${total.runs.toLocaleString("en")} interleavings, ${total.orders.toLocaleString("en")} of them distinct`,
    `${total.steps.toLocaleString("en")} turns of fibers`,
    `seeds ${first} to ${(next ?? 0) - 1}, ${perSecond(total.runs)} runs/s, ${total.broken} broken`
  ].join("\n")
)
process.exitCode = total.broken === 0 ? 0 : 1
