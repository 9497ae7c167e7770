/**
 * Tries to break the promises of policies, for as long as you like: `npm run explore:policies -- --runs 500000 --seed 1`.
 *
 * Each seed is a stack, of one policy or of up to six, and a program. Prints how far it is once a second, and what broke,
 * small and ready to be replayed. Exits with 1 when something did.
 */
import { parseArgs } from "node:util"
import { Effect, Result } from "effect"
import { PolicyLaws } from "holdfast/testing"

const { values } = parseArgs({
  options: { runs: { type: "string", default: "100000" }, seed: { type: "string", default: "0" } }
})
const first = Number(values.seed)
const end = first + Number(values.runs)
Error.stackTraceLimit = 0

const start = performance.now()
const perSecond = (runs: number) => Math.round(runs / ((performance.now() - start) / 1000)).toLocaleString("en")
let broken = 0
let printed = start

for (let seed = first; seed < end && broken < 10; seed++) {
  const result = await Effect.runPromise(Effect.result(PolicyLaws.explore({ runs: 1, seed })))
  if (Result.isFailure(result)) {
    broken++
    console.log(`seed ${seed}: BROKEN ${result.failure.message}`)
  }
  if (performance.now() - printed < 1000 && seed < end - 1) continue
  printed = performance.now()
  const runs = seed + 1 - first
  console.log(`seed ${seed}: ${runs.toLocaleString("en")} runs, ${perSecond(runs)} runs/s, ${broken} broken`)
}
process.exitCode = broken === 0 ? 0 : 1
