/**
 * Kills a process that keeps jobs in a file with SIGKILL, at random moments: `npm run crash -- --kills 2000`.
 *
 * The process says what the store has acknowledged. After each kill the file is opened, and must have all of it. `--host main`
 * works on the file on the main thread. Exits with 1 when something is lost.
 */
import { parseArgs } from "node:util"
import * as crashes from "./crashes.ts"

const { values } = parseArgs({
  options: { kills: { type: "string", default: "60" }, host: { type: "string", default: "thread" } }
})
const kills = Number(values.kills)

const found = await crashes.run({
  kills,
  host: values.host === "main" ? "main" : "thread",
  random: Math.random,
  each: ({ acknowledged, broken, kills: done }) => {
    if (done % 20 === 0)
      console.log(`${done} kills, ${acknowledged.toLocaleString("en")} acknowledged, ${broken.length} broken`)
  }
})
for (const what of found.broken.slice(0, 20)) console.log(`BROKEN ${what}`)
console.log(
  `${found.kills} kills, ${found.acknowledged.toLocaleString("en")} acknowledged submits, starts, steps and ends, ${found.broken.length} lost or overwritten`
)
process.exitCode = found.broken.length === 0 ? 0 : 1
