/**
 * Tries to break whoever reads what others wrote: `npm run fuzz -- --minutes 5 --seed 1`. Says what did, and ends with 1.
 *
 * Each seed is tried with every reader: answers, refusals, headers, entries of stores, lines of files, and the calls of the AI
 * SDK's packages, which are slower, with one of a hundred.
 */
import { parseArgs } from "node:util"
import { Chance } from "../../src/testing/seed/Chance.ts"
import { through } from "../../test/contracts/foreignCalls.ts"
import { type Came, plain, type Reader } from "../../test/contracts/foreignText.ts"

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "5" }, seed: { type: "string", default: "1" } }
})
const end = performance.now() + Number(values.minutes) * 60_000
const counts = new Map<string, { read: number; refused: number }>()
let peak = 0
let seed = Number(values.seed)

const stop = (why: string): never => {
  console.log(`seed ${seed}, ${why}`)
  process.exit(1)
}
process.on("unhandledRejection", (error) => stop(`nobody heard of ${String(error)}`))

const tryWith = async ({ name, tryOne }: Reader) => {
  let came: Came
  try {
    came = await tryOne(new Chance(seed))
  } catch (error) {
    came = `threw ${String(error)}`
  }
  if (came !== "read" && came !== "refused") return stop(`${name}: ${came}`)
  const count = counts.get(name) ?? { read: 0, refused: 0 }
  count[came === "read" ? "read" : "refused"] += 1
  counts.set(name, count)
}

for (; performance.now() < end; seed++) {
  for (const reader of plain) await tryWith(reader)
  if (seed % 100 === 0) for (const reader of through) await tryWith(reader)
  if (seed % 1_000 === 0) peak = Math.max(peak, process.memoryUsage().rss)
}
for (const [name, { read, refused }] of counts) console.log(`${name}: ${read} read, ${refused} refused`)
console.log(`nothing else; at most ${Math.round(peak / 2 ** 20)} MiB`)
