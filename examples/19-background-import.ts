// A background import in plain TypeScript: progress for whoever looks, cancelled with its clean-up, and run every night.
//
// prints: 50% 2 of 4 rows
// prints: imported 4 rows
// prints: closed the file
// prints: cancelled: Job "import" (import-2) was cancelled: wrong file
import { setTimeout as sleep } from "node:timers/promises"
import { Client, HoldfastError } from "holdfast/promise"
import { z } from "zod"

await using client = Client.make({ jobs: { concurrency: 4, timeout: "1 hour" }, log: false })

// A job by name, whose input is checked before it starts.
const importRows = client.define(
  "import",
  async ({ rows }, { report, run, signal }) => {
    try {
      for (let done = 1; done <= rows; done++) {
        await run(() => sleep(20, undefined, { signal }), { name: "one row" })
        report({ done, total: rows }, `${done} of ${rows} rows`)
      }
      return rows
    } finally {
      if (signal.aborted) console.log("closed the file")
    }
  },
  z.object({ rows: z.number().int().positive() })
)

const job = await importRows.submit({ rows: 4 }, { id: "import-1", metadata: { user: "u-1" } })
for await (const { fraction, message } of job.progress) {
  if (fraction === 0.5) console.log(`${fraction * 100}% ${message}`)
}
console.log(`imported ${await job.result()} rows`)

// Elsewhere, as in another request, the id is enough.
await importRows.submit({ rows: 1_000_000 }, { id: "import-2" })
const long = await client.job("import-2")
for await (const _ of long.progress) break
await long.cancel("wrong file")
await long.result().catch((error: unknown) => {
  if (error instanceof HoldfastError) console.log(`${error.code}: ${error.message}`)
})

// At four every night, never two at a time. It goes on until it is cancelled or the client is closed.
await client.every("0 4 * * *", ({ signal }) => importRows.run({ rows: 4 }, { signal }), { name: "nightly import" })
