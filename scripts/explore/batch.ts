/**
 * Tries to make `holdfast batch` lose, change or touch what it must not: `npm run fuzz -- batch --rounds 10000 --kills 300`.
 *
 * First each file of a finished batch is cut at every byte. Rounds run in this process over files and answers that chance wrote. A kill is a run in a process of its own, whose disk fills up or
 * which is killed at a random moment, and then the same command again, until it is through. Ends with 1 when something is wrong.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Chance } from "../../src/testing/seed/Chance.ts"
import { everyCut } from "../../test/cli/batchCuts.ts"
import { round } from "../../test/cli/batchRound.ts"
import { completion } from "../../test/sockets/openaiWire.ts"

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "10000" },
    kills: { type: "string", default: "300" },
    seed: { type: "string", default: "1" }
  }
})
const first = Number(values.seed)
const folder = mkdtempSync(join(tmpdir(), "holdfast-fuzz-"))
const stop = (seed: number, why: string): never => {
  console.log(`seed ${seed}: ${why}`)
  process.exit(1)
}

const cuts = await everyCut(join(folder, "cuts"))
if (typeof cuts === "string") stop(0, cuts)
console.log(`${cuts} cuts, at every byte of input, output, errors and lock: every request answered once`)

for (let seed = first; seed < first + Number(values.rounds); seed++) {
  const wrong = await round(new Chance(seed), join(folder, "round")).catch((error: unknown) => `threw ${String(error)}`)
  if (wrong !== undefined) stop(seed, wrong)
}
console.log(
  `${values.rounds} rounds: every request answered once or failed with its reason, bodies byte for byte, nothing else touched`
)

const requests = 200
const server = createServer((request, response) => {
  let text = ""
  request.on("data", (more) => (text += String(more)))
  request.on("end", () => {
    const answer = completion(`re ${JSON.parse(text).messages[0].content} ${"é".repeat(500)}`)
    setTimeout(() => response.writeHead(200, { "content-type": "application/json" }).end(answer), 5)
  })
})
server.listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/v1`
const main = new URL("../../src/cli/main.ts", import.meta.url).pathname

/** Runs the command. `full`: no file may have more than so many blocks of 1,024 bytes. `after`: it is killed then. */
const run = async (full: number | undefined, after: number | undefined) => {
  const args = [
    "--conditions=holdfast-source",
    main,
    "batch",
    "in.jsonl",
    "--out=out.jsonl",
    `--base-url=${url}`,
    "--quiet"
  ]
  const limit = full === undefined ? "" : `ulimit -f ${full}; `
  const child = spawn("bash", ["-c", `${limit}exec "$@"`, "bash", process.execPath, ...args], {
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, NODE_DISABLE_COMPILE_CACHE: "1" }
  })
  let said = ""
  child.stderr.on("data", (more) => (said += String(more)))
  const timer = after === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), after)
  const [code] = await once(child, "close")
  clearTimeout(timer)
  return { code, said }
}

const usual = { startedMillis: 0 }
let kills = 0
let resumed = 0
for (let seed = first; kills < Number(values.kills); seed++) {
  const chance = new Chance(seed)
  rmSync(join(folder, "out.jsonl"), { force: true })
  const line = (n: number) => `${JSON.stringify({ id: `r${n}`, prompt: `say ${n}`, model: "m" })}\n`
  writeFileSync(join(folder, "in.jsonl"), Array.from({ length: requests }, (_, n) => line(n)).join(""))
  for (let runs = 0; ; runs++) {
    if (runs > 30) stop(seed, "it never comes to its end")
    const isKilled = runs < 4 && kills < Number(values.kills)
    const isFull = isKilled && chance.onceIn(4)
    const began = performance.now()
    const after = isKilled && !isFull ? usual.startedMillis * chance.next() * 1.3 : undefined
    const { code, said } = await run(
      isFull ? 1 + chance.below(200) : undefined,
      usual.startedMillis === 0 ? undefined : after
    )
    if (usual.startedMillis === 0) usual.startedMillis = performance.now() - began
    if (isKilled) kills += 1
    if (code === 0) break
    if (!isKilled) stop(seed, `it ended with ${String(code)}: ${said}`)
    if (isFull && code !== 2) stop(seed, `with a full disk it ended with ${String(code)}: ${said}`)
    resumed += 1
  }
  const ids = readFileSync(join(folder, "out.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((text) => {
      const { custom_id: id, response } = JSON.parse(text)
      if (!response.body.choices[0].message.content.startsWith(`re say ${id.slice(1)} é`))
        stop(seed, `wrong answer: ${text}`)
      return id
    })
  if (ids.length !== requests || new Set(ids).size !== requests)
    stop(seed, `${ids.length} answers, ${new Set(ids).size} ids`)
}
server.close()
rmSync(folder, { recursive: true })
console.log(`${kills} runs that were killed or met a full disk, ${resumed} resumed: every request answered once`)
process.exit(0)
