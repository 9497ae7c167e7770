/**
 * How much memory `holdfast batch` takes for a gigabyte of input: 210 requests with a picture of 5 MB each, 60 of them in flight if
 * there is room, and 2.1 million short ones.
 *
 * `npm run bench -- batchMemory [max-memory in MB, default that of the command] [share of the gigabyte, default 1]`.
 */
import { once } from "node:events"
import { createWriteStream, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { measure, startServer } from "./measure/child.ts"
import type { Row } from "./measure/table.ts"

const root = join(import.meta.dirname, "..")
const picture = `data:image/png;base64,${"iVBORw0KGgo".repeat(476_000)}`

const lineOf = (n: number, content: unknown): string =>
  `${JSON.stringify({ custom_id: `r${n}`, method: "POST", url: "/v1/chat/completions", body: { model: "m", messages: [{ role: "user", content }] } })}\n`

const kinds = {
  "5 MB each": { count: 210, content: () => [{ type: "image_url", image_url: { url: picture } }] },
  "500 bytes each": { count: 2_100_000, content: (n: number) => `${n}: ${"say it in plain words. ".repeat(17)}` }
}

export const run = async ([maxMemory, share = "1"]: ReadonlyArray<string>): Promise<ReadonlyArray<Row>> => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"))
  const [input, output] = [join(folder, "in.jsonl"), join(folder, "out.jsonl")]
  const rows: Array<Row> = []
  for (const [kind, { content, count }] of Object.entries(kinds)) {
    const file = createWriteStream(input)
    const lines = Math.ceil(count * Number(share))
    let size = 0
    for (let n = 0; n < lines; n++) {
      const line = lineOf(n, content(n))
      size += line.length
      if (!file.write(line)) await once(file, "drain")
    }
    await new Promise((resolve) => file.end(resolve))
    // Of the short ones most are not sent: reading them is what is measured.
    await using server = await startServer([join(root, "bench/processes/sinkServer.ts"), "100"])
    const { cpuSeconds, exitCode, peakMegabytes, wallSeconds } = await measure([
      "--conditions=holdfast-source",
      join(root, "src/cli/main.ts"),
      "batch",
      input,
      `--out=${output}`,
      `--base-url=${server.url}/v1`,
      "--concurrency=60",
      "--quiet",
      ...(count > 1_000 ? ["--sample=1000"] : []),
      ...(maxMemory === undefined ? [] : [`--max-memory=${maxMemory}`])
    ])
    if (exitCode !== 0) throw new Error(`it ended with ${exitCode}`)
    rows.push({
      requests: kind,
      "input MB": size / 1e6,
      "peak MB": peakMegabytes,
      "CPU s": cpuSeconds,
      "wall s": wallSeconds
    })
    rmSync(output, { force: true })
  }
  rmSync(folder, { recursive: true })
  return rows
}
