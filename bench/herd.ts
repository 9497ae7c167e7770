/**
 * Sends a herd at a rate limit: many calls at once, against a token bucket of 20 requests a second and 20 at once that
 * answers what is too much with a 429 and `retry-after: 1`.
 *
 * Server and contender have a process each. The server counts requests, the worst burst within 20 ms and the makespan,
 * from the first request to the last that was accepted. The ideal makespan is what the bucket itself needs: 9 s for 200
 * calls. The limit is known to some contenders beforehand, told in headers, or never told; in the last case it drops to a
 * tenth after 100 answers, and 140 calls are made. `npm run bench -- herd [word of a case or contender]`.
 */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { startServer } from "./measure/child.ts"
import type { Row } from "./measure/table.ts"

interface Case {
  readonly name: string
  readonly server: ReadonlyArray<string>
  readonly calls: number
  readonly idealSeconds: number
  readonly contenders: ReadonlyArray<string>
}

const peers = ["openai", "AI SDK", "effect"]

const cases: ReadonlyArray<Case> = [
  {
    name: "limit given",
    server: [],
    calls: 200,
    idealSeconds: 9,
    contenders: ["effect, told the limit", "holdfast, told the limit"]
  },
  { name: "told in headers", server: ["--headers"], calls: 200, idealSeconds: 9, contenders: [...peers, "holdfast"] },
  { name: "retry-after only", server: [], calls: 200, idealSeconds: 9, contenders: [...peers, "holdfast"] },
  {
    name: "drops to a tenth",
    server: ["--drop-after", "100"],
    calls: 140,
    // 20 at once, 80 at 20 a second, 40 at 2 a second.
    idealSeconds: 24,
    contenders: [...peers, "effect, told the limit", "holdfast", "holdfast, told the limit"]
  }
]

export const run = async ([wanted = ""]: ReadonlyArray<string>): Promise<ReadonlyArray<Row>> => {
  const rows: Array<Row> = []
  for (const one of cases) {
    for (const contender of one.contenders) {
      if (!one.name.includes(wanted) && !contender.includes(wanted)) continue
      rows.push(await runOnce(one, contender))
      console.log(JSON.stringify(rows.at(-1)))
    }
  }
  return rows
}

interface Counts {
  readonly requests: number
  readonly accepted: number
  readonly worstBurst: number
  readonly makespan: number
}

const runOnce = async ({ calls, idealSeconds, name, server: options }: Case, contender: string): Promise<Row> => {
  await using server = await startServer([join(import.meta.dirname, "processes/herdServer.ts"), ...options])
  const client = join(import.meta.dirname, "processes/herdClient.ts")
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--conditions=holdfast-source",
    client,
    contender,
    `${server.url}/v1`,
    String(calls)
  ])
  const { failed } = JSON.parse(stdout.trim().split("\n").at(-1) ?? "")
  const counts: Counts = JSON.parse(await (await fetch(`${server.url}/counts`)).text())
  const { accepted, makespan, requests, worstBurst } = counts
  return {
    case: name,
    contender,
    failed,
    "requests per success": requests / accepted,
    "makespan s": makespan,
    "of the ideal": makespan / idealSeconds,
    "worst burst in 20 ms": worstBurst
  }
}
