import { readdirSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { CacheUpkeep } from "holdfast/model"
import * as policies from "holdfast/policy"
import { fieldsOf, read, rows, under, written } from "./pages.ts"

const folder = new URL("../../docs/policies/", import.meta.url)
const pageOf = (policy: string) => read(`docs/policies/${policy.toLowerCase()}.md`)

const headings = [
  "What for",
  "Example",
  "Options and defaults",
  "Where in the stack",
  "What you see when it acts",
  "Mistakes"
]

/** The options of each policy: the file in src/policy and the interface. */
const options: Readonly<Record<keyof typeof policies, ReadonlyArray<readonly [file: string, name: string]>>> = {
  AdaptiveLimit: [
    ["AdaptiveLimit", "Options"],
    ["gate/GateSettings", "Options"]
  ],
  Bulkhead: [
    ["Bulkhead", "Options"],
    ["gate/GateSettings", "Options"]
  ],
  CircuitBreaker: [
    ["CircuitBreaker", "Options"],
    ["CircuitBreaker", "SharedOptions"]
  ],
  Degrade: [["Degrade", "Options"]],
  Fallback: [["Fallback", "Options"]],
  Hedge: [
    ["Hedge", "Options"],
    ["Hedge", "AdaptiveOptions"]
  ],
  Pipeline: [
    ["Pipeline", "Options"],
    ["pipeline/Providers", "Options"]
  ],
  Race: [["Race", "Options"]],
  RateLimit: [
    ["rate-limit/Settings", "LimitOptions"],
    ["RateLimit", "Options"]
  ],
  Repair: [["Repair", "Options"]],
  ResponseCache: [
    ["ResponseCache", "Options"],
    ["ResponseCache", "SharedOptions"]
  ],
  Retry: [["Retry", "Options"]],
  RetryBudget: [["RetryBudget", "Options"]],
  SingleFlight: [["SingleFlight", "Options"]],
  SpendBudget: [["SpendBudget", "Options"]],
  Timeout: [["Timeout", "AttemptLimits"]]
}

/** The tables of a policy's own options: what has a heading of its own in there is another's. */
const tablesOf = (policy: string) => rows(under(pageOf(policy), "## Options and defaults").split("\n### ")[0] ?? "")

type Defaults = Readonly<Record<string, string | number | boolean>>

describe("the page of each policy", () => {
  it("exists, and there is none without a policy", () => {
    assert.deepStrictEqual(
      readdirSync(folder).sort(),
      Object.keys(policies)
        .map((name) => `${name.toLowerCase()}.md`)
        .sort()
    )
  })

  it.each(Object.keys(policies))("of %s has the fixed headings in order", (policy) => {
    assert.deepStrictEqual(
      Array.from(pageOf(policy).matchAll(/^## (.+)$/gm), ([, heading]) => heading),
      headings
    )
  })

  it.each(Object.entries(options))("of %s lists every option, and no other", (policy, interfaces) => {
    const fields = interfaces.flatMap(([file, name]) => fieldsOf(`src/policy/${file}.ts`, name))
    assert.isNotEmpty(fields)
    // The option of `shared` has no interface of its own.
    const more = policy === "RateLimit" ? ["storeTimeout"] : []
    assert.sameMembers(Object.keys(tablesOf(policy)), [...fields.map(({ name }) => name), ...more])
  })

  it.each(Object.entries(policies).filter(([, policy]) => "defaults" in policy))(
    "of %s states the defaults of the code",
    (policy, module) => {
      const stated = tablesOf(policy)
      const { defaults } = module as { readonly defaults: Defaults }
      for (const [name, value] of Object.entries(defaults)) assert.strictEqual(stated[name], written(value), name)
    }
  )

  it("of Pipeline states the time limits of an attempt", () => {
    const { firstToken, headers, idle } = policies.Pipeline.attemptDefaults
    assert.strictEqual(tablesOf("Pipeline")["attempt"], `headers ${headers}, first token ${firstToken}, idle ${idle}`)
  })

  it("of ResponseCache lists the options of CacheUpkeep with their defaults", () => {
    const stated = rows(under(pageOf("ResponseCache"), "### CacheUpkeep.run"))
    assert.sameMembers(
      Object.keys(stated),
      fieldsOf("src/model/CacheUpkeep.ts", "Options").map(({ name }) => name)
    )
    const { evictEvery, snapshotEvery, warmEvery } = CacheUpkeep.defaults
    assert.strictEqual(stated["evictEvery"], evictEvery)
    assert.include(stated["snapshot"], `every ${snapshotEvery}`)
    assert.include(stated["warm"], `every ${warmEvery}`)
  })
})
