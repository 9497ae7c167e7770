import { assert, describe, it } from "@effect/vitest"
import { ChatWire, ProviderPool } from "holdfast/provider"
import { fieldsOf, read, rows, under, written } from "./pages.ts"

const page = read("docs/providers.md")
const file = "src/provider/ProviderPool.ts"
const stated = rows(under(page, "### ProviderPool.make"))

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

  it("lists every option of ChatWire, says which are required, and states the defaults of the code", () => {
    const stated = rows(under(page, "### ChatWire.provider"))
    const fields = fieldsOf("src/provider/ChatWire.ts", "Options")
    assert.sameMembers(
      Object.keys(stated),
      fields.map(({ name }) => name)
    )
    for (const { isOptional, name } of fields) assert.strictEqual(stated[name] !== "required", isOptional, name)
    assert.strictEqual(stated["traceparent"], written(ChatWire.defaults.traceparent))
  })

  it("lists every limit of ChatWire with the default of the code", () => {
    const stated = rows(under(page, "### Limits of ChatWire"))
    const fields = fieldsOf("src/provider/chat-wire/Limits.ts", "Limits").map(({ name }) => name)
    assert.sameMembers(Object.keys(stated), fields)
    for (const [name, value] of Object.entries(ChatWire.defaults.limits))
      assert.strictEqual(stated[name], written(value), name)
  })
})
