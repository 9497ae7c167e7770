import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { PolicyReason } from "holdfast/core"
import { JobStoreLaws, PolicyLaws, SupervisorLaws } from "holdfast/testing"
import { read, rows, under } from "./pages.ts"

describe("the page of testing", () => {
  it.each([
    ["## SupervisorLaws: what a supervisor promises", SupervisorLaws.laws],
    ["## PolicyLaws: what policies promise", PolicyLaws.laws],
    ["## JobStoreLaws: what a store of jobs promises", JobStoreLaws.laws]
  ] as const)("lists the laws there are: %s", (heading, laws) => {
    assert.sameMembers(
      Object.keys(rows(under(read("docs/testing.md"), heading))),
      laws.map(({ name }) => name)
    )
  })
})

describe("the page of errors", () => {
  const stated = rows(under(read("docs/errors.md"), "## When a policy ended the call"))

  it("lists what a policy may decide, and nothing else", () => {
    const tags = PolicyReason.PolicyReason.members.map(({ fields }) => fields._tag.schema.literal)
    assert.sameMembers(Object.keys(stated), tags)
  })

  it.prop("says whether that is tried again", [PolicyReason.PolicyReason], ([reason]) => {
    const isForOverall = reason._tag === "TimedOut" && reason.clock === "overall"
    const says = stated[reason._tag]
    const isYes =
      says === "as it says"
        ? "retryable" in reason && reason.retryable
        : says?.startsWith("yes") === true && !isForOverall
    assert.strictEqual(PolicyReason.toAiError("Policy", reason).isRetryable, isYes, reason._tag)
  })
})

describe("the README", () => {
  it("names every import there is", () => {
    const { exports } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))
    const imports = Object.keys(exports).flatMap((path) => /^\.\/(\w+)$/.exec(path)?.slice(1) ?? [])
    const listed = Array.from(read("README.md").matchAll(/^\| `holdfast\/(\w+)` \|/gm), ([, name]) => name)
    assert.sameMembers(listed, imports)
  })
})
