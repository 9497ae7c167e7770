import { describe, expect, it } from "vitest"
import { readFileSync } from "node:fs"
import { BatchCommand, BatchRun } from "holdfast/cli"

const page = readFileSync(new URL("../../docs/batch.md", import.meta.url), "utf8")

/** What the table says of a flag, by its name without value. */
const documented = new Map(
  [...page.matchAll(/^\| `--([a-z-]+)[^`]*` \| .* \| (.*) \|$/gmu)].map(([, flag, fallback]) => [flag, fallback])
)

const source = readFileSync(new URL("../../src/cli/batch/BatchFlags.ts", import.meta.url), "utf8")
const declared = [...source.matchAll(/(?:Flag\.\w+|wholeNumber)\("([a-z-]+)"/gu)].map(([, flag]) => flag)

describe("docs/batch.md", () => {
  it("has every flag in its table, and no other", () => {
    expect(declared.length).toBeGreaterThan(10)
    expect([...documented.keys()].toSorted()).toEqual(declared.toSorted())
  })

  it("gives the defaults of the code", () => {
    const { apiKeyEnv, baseUrl, concurrency, maxMemoryMb, patience, retries, timeout } = BatchCommand.defaults
    expect(documented.get("base-url")).toBe(`\`OPENAI_BASE_URL\`, else ${baseUrl}`)
    expect(documented.get("api-key-env")).toBe(apiKeyEnv)
    expect(documented.get("concurrency")).toBe(String(concurrency))
    expect(documented.get("retries")).toBe(String(retries))
    expect(documented.get("timeout")).toBe(timeout)
    expect(documented.get("patience")).toBe(patience)
    expect(documented.get("max-memory")).toBe(String(maxMemoryMb))
    expect(page).toContain(`gives the requests in flight ${BatchRun.defaults.stopDeadline} to finish`)
    expect(page.replaceAll("\n", " ")).toContain("a random time up to 250 ms, doubling with each up to 30 s")
    expect([BatchRun.defaults.retryBase, BatchRun.defaults.retryCap]).toEqual(["250 millis", "30 seconds"])
  })
})
