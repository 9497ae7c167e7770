/**
 * Runs one bench: `npm run bench -- NAME` runs `bench/NAME.ts`, prints its rows as a table and, as the last line, all
 * figures as one JSON object. Without a name it lists the benches: the files that export `run`, an Effect or an async
 * function of the remaining arguments, giving rows.
 */
import { Effect } from "effect"
import { globSync, readFileSync } from "node:fs"
import { cpus, totalmem } from "node:os"
import { join } from "node:path"
import { render, type Row } from "./measure/table.ts"

type Rows = ReadonlyArray<Row>

interface Bench {
  readonly run: Effect.Effect<Rows, unknown> | ((args: ReadonlyArray<string>) => Promise<Rows>)
}

const names = globSync("*.ts", { cwd: import.meta.dirname })
  .filter((path) => /^export (const|async function) run\b/m.test(readFileSync(join(import.meta.dirname, path), "utf8")))
  .map((path) => path.replace(/\.ts$/, ""))
  .toSorted()

const [name, ...args] = process.argv.slice(2)
if (name === undefined || !names.includes(name)) {
  console.log([name === undefined ? "Benches:" : `No bench ${name}. There are:`, ...names].join("\n  "))
  process.exit(name === undefined ? 0 : 1)
}

const { run }: Bench = await import(`./${name}.ts`)
const start = performance.now()
const rows = Effect.isEffect(run) ? await Effect.runPromise(run) : await run(args)
const seconds = Math.round(performance.now() - start) / 1000

console.log(render(rows))
console.log(
  JSON.stringify({
    bench: name,
    seconds,
    node: process.version,
    cpus: cpus().length,
    cpu: cpus()[0]?.model,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    rows
  })
)
