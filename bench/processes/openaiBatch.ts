/** What one writes by hand: the `openai` SDK with `p-limit` and its default retries, each answer appended to a file. */
import OpenAI from "openai"
import pLimit from "p-limit"
import { appendFile, readFile } from "node:fs/promises"

const [input = "", output = "", baseURL = "", concurrency = "50"] = process.argv.slice(2)

const client = new OpenAI({ baseURL, apiKey: "none" })
const limit = pLimit(Number(concurrency))
const lines = (await readFile(input, "utf8")).trimEnd().split("\n")

await Promise.allSettled(
  lines.map((line) =>
    limit(async () => {
      const { body, custom_id } = JSON.parse(line)
      const answer = await client.chat.completions.create(body)
      await appendFile(output, `${JSON.stringify({ custom_id, response: { body: answer } })}\n`)
    })
  )
)
