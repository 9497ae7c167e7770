/**
 * Tries to break the promises of policies, for as long as you like: `npm run explore:policies -- --runs 500000`.
 *
 * Each seed is a stack, of one policy or of up to six, and a program. Prints how far it is once a second, and what broke,
 * small and ready to be replayed. Exits with 1 when something did.
 */
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { PolicyLaws } from "holdfast/testing"

const { values } = parseArgs({
  options: { runs: { type: "string", default: "100000" }, seed: { type: "string" } }
})
const runs = Number(values.runs)
// Programs that are tried between two lines of output.
const batch = 1_000
Error.stackTraceLimit = 0

const start = performance.now()
const perSecond = (count: number) => Math.round(count / ((performance.now() - start) / 1000)).toLocaleString("en")
let seed = values.seed === undefined ? undefined : Number(values.seed)
let broken = 0

for (let done = 0; done < runs && broken < 10;) {
  const report = await Effect.runPromise(
    PolicyLaws.explore(PolicyLaws.own, { runs: Math.min(batch, runs - done), seed })
  )
  for (const each of report.broken) console.log(`seed ${each.seed}: BROKEN ${each.message}`)
  broken += report.broken.length
  done += report.runs
  seed = report.seed + report.runs
  console.log(`seed ${seed}: ${done.toLocaleString("en")} runs, ${perSecond(done)} runs/s, ${broken} broken`)
}
process.exitCode = broken === 0 ? 0 : 1
