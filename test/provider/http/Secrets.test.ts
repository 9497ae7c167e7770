import { assert, describe, it } from "@effect/vitest"
import * as Secrets from "../../../src/provider/http/Secrets.ts"

const mask = Secrets.maskOf(["Bearer 0123456789abcdef", "another-secret"])

describe("a secret that a limit cut", () => {
  it("is masked wherever it was cut, down to six characters", () => {
    for (let length = 6; length <= 16; length++)
      assert.strictEqual(mask(`denied for ${"0123456789abcdef".slice(0, length)}`), "denied for <masked>", `${length}`)
  })

  it("is masked whichever of several it is, behind whole ones", () => {
    assert.strictEqual(mask("another-secret 0123456789abcdef another-se"), "<masked> <masked> <masked>")
  })

  it("is no secret in the middle of a text, nor when it is shorter than a word", () => {
    assert.strictEqual(mask("0123456 and 01234"), "0123456 and 01234")
  })
})

it.each(["authorization", "api-key", "x-api-key", "cookie", "x-auth-token", "x-secret"])(
  "%s is a secret header",
  (name) => assert.isTrue(Secrets.isSecretHeader(name))
)

it.each(["content-type", "x-request-id", "accept", "monkey", "author"])("%s is no secret header", (name) =>
  assert.isFalse(Secrets.isSecretHeader(name))
)
