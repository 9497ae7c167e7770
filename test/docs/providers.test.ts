import { assert, describe, it } from "@effect/vitest"
import { ProviderPool } from "holdfast/provider"
import { fieldsOf, read, rows, under, written } from "./pages.ts"

const file = "src/provider/ProviderPool.ts"
const stated = rows(under(read("docs/providers.md"), "### ProviderPool.make"))

describe("the page of providers", () => {
  it("lists every option of a pool and of its members, and no other", () => {
    const fields = [...fieldsOf(file, "Options"), ...fieldsOf(file, "Member")].map(({ name }) => name)
    assert.sameMembers(
      Object.keys(stated),
      fields.filter((name) => name !== "provider")
    )
  })

  it("states the defaults of the code", () => {
    for (const [name, value] of Object.entries(ProviderPool.defaults))
      assert.strictEqual(stated[name], written(value), name)
  })
})
