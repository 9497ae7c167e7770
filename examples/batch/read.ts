/**
 * Reads the files of `holdfast batch`, and those of the Batch API, which are alike: what each request was answered, or why not.
 *
 * `node read.ts results.jsonl results.errors.jsonl`
 */
import { createReadStream } from "node:fs"
import { createInterface } from "node:readline"

interface Body {
  readonly choices?: ReadonlyArray<{ readonly message?: { readonly content?: string | null } }>
  readonly output?: ReadonlyArray<{ readonly content?: ReadonlyArray<{ readonly text?: string }> }>
  readonly error?: { readonly message?: string }
}

interface Line {
  readonly custom_id: string
  readonly response: { readonly status_code: number; readonly body: Body } | null
  readonly error: { readonly message: string } | null
}

/** What the model said: in an answer of chat completions, or of responses. */
const textOf = ({ choices, output = [] }: Body): string | undefined =>
  choices?.[0]?.message?.content ?? output.flatMap(({ content = [] }) => content).find(({ text }) => text)?.text

for (const path of process.argv.slice(2)) {
  for await (const line of createInterface(createReadStream(path))) {
    const { custom_id: id, error, response }: Line = JSON.parse(line)
    if (response?.status_code === 200) console.log(`${id}: ${textOf(response.body) ?? JSON.stringify(response.body)}`)
    else
      console.log(`${id} failed: ${error?.message ?? response?.body.error?.message ?? `HTTP ${response?.status_code}`}`)
  }
}
