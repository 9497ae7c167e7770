/**
 * Shows the main job: 2,000 requests from a file, against a server that is slow and fails now and then.
 *
 * Starts the offline model (`server.ts`: real HTTP, 3 % 500s, 3 % 429s with Retry-After, 2 % cut connections), runs
 * `holdfast batch` over `examples/data/packages.jsonl` in this terminal, and shows three of the answers. Every start is
 * a fresh run: `results.jsonl` in the current directory is removed first.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync, rmSync } from "node:fs"
import { createInterface } from "node:readline"

const here = (path: string) => new URL(path, import.meta.url).pathname
const output = "results.jsonl"

const faults = ["--rate-500", "0.03", "--rate-429", "0.03", "--rate-cut", "0.02"]
const server = spawn(process.execPath, [here("server.ts"), "--latency-ms", "500", ...faults], {
  stdio: ["pipe", "pipe", "inherit"]
})
const [line] = await once(createInterface(server.stdout), "line")
const { url } = JSON.parse(String(line))

rmSync(output, { force: true })
const command = ["batch", "examples/data/packages.jsonl", "--out", output, "--base-url", `${url}/v1`]
command.push("--prices", "examples/data/prices.json")
console.log(`$ holdfast ${command.join(" ")}`)
const batch = spawn(process.execPath, ["--conditions=holdfast-source", here("../../src/cli/main.ts"), ...command], {
  stdio: "inherit"
})
// Ctrl-C reaches the batch run as well, and is for it to answer.
process.on("SIGINT", () => undefined)
const [code] = await once(batch, "exit")

const lines = readFileSync(output, "utf8").split("\n").slice(0, -1)
for (const text of lines.slice(0, 3)) {
  const { custom_id, response } = JSON.parse(text)
  console.log(`\n${custom_id}: ${response.body.choices[0].message.content}`)
}
if (code === 130) console.log("\nThe offline model ends here too, so there is nothing to resume: run npm start again.")
server.stdin.end()
process.exitCode = code ?? 1
