import { expect, it } from "vitest"
import { createWriteStream } from "node:fs"
import { once } from "node:events"
import { measure } from "../../bench/measure/child.ts"
import * as ResultLine from "../../src/cli/batch/output/ResultLine.ts"
import { mainScript, makeFolder, startFast } from "./command.ts"

const count = 200_000
const text = "Say what you can about this in words that are plain and few, and then stop talking about it. ".repeat(4)

const requestLine = (n: number) =>
  `${JSON.stringify({
    custom_id: `request-${n}`,
    method: "POST",
    url: "/v1/chat/completions",
    body: { model: "m", messages: [{ role: "user", content: `${n}: ${text}` }] }
  })}\n`

const answerBody = Buffer.from(
  JSON.stringify({
    choices: [{ index: 0, message: { role: "assistant", content: text } }],
    usage: { total_tokens: 15 }
  })
)

const answerLine = (n: number) =>
  ResultLine.fromAnswered({
    customId: `request-${n}`,
    line: n,
    status: 200,
    requestId: "",
    body: answerBody
  })

const writeLines = async (path: string, line: (n: number) => string | Uint8Array | undefined) => {
  const file = createWriteStream(path)
  for (let n = 0; n < count; n++) if (!file.write(line(n) ?? "")) await once(file, "drain")
  await new Promise((resolve) => file.end(resolve))
}

// All 200,000 lines are read, and looked up among the answers; to keep the test short, one in 40 is left to be sent.
const isLeft = (n: number) => n % 40 === 0

it("holdfast batch reads 200,000 lines in less than 300 MB", { timeout: 180_000 }, async () => {
  const url = await startFast()
  const folder = makeFolder()
  await writeLines(folder.path("in.jsonl"), requestLine)
  await writeLines(folder.path("out.jsonl"), (n) => (isLeft(n) ? undefined : answerLine(n)))

  const { exitCode, peakMegabytes, stderr } = await measure([
    ...mainScript,
    "batch",
    folder.path("in.jsonl"),
    `--out=${folder.path("out.jsonl")}`,
    `--base-url=${url}`,
    "--json"
  ])
  expect(exitCode).toBe(0)
  expect(JSON.parse(stderr.trimEnd().split("\n").at(-1) ?? "")).toMatchObject({
    answered: count / 40,
    skipped: count - count / 40,
    sent: count / 40
  })
  const ids = folder.lines("out.jsonl").map((line) => line.custom_id)
  expect([ids.length, new Set(ids).size]).toEqual([count, count])
  expect(peakMegabytes).toBeLessThan(300)
  console.log(`peak memory: ${Math.round(peakMegabytes)} MB`)
})
