/** A folder whose files are run as code is used only where nobody else can write it. */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "@effect/vitest"
import * as OwnFolder from "../../../src/cli/main/OwnFolder.ts"

const root = mkdtempSync(join(tmpdir(), "holdfast-own-"))
afterAll(() => rmSync(root, { recursive: true }))

const folder = (name: string, mode: number): string => {
  const path = join(root, name)
  mkdirSync(path, { recursive: true })
  chmodSync(path, mode)
  return path
}

describe.skipIf(process.getuid === undefined)("a folder that only this user can write (needs POSIX)", () => {
  it("is made, with those above it, and nobody else may even read it", () => {
    const path = join(root, "new", "deep")
    assert.isString(OwnFolder.make(path))
    assert.strictEqual(statSync(path).mode & 0o777, 0o700)
    assert.strictEqual(statSync(join(root, "new")).mode & 0o777, 0o700)
  })

  it("is used as it is when others may only read it", () => {
    assert.isString(OwnFolder.make(folder("read", 0o755)))
  })

  it.each([0o777, 0o1777, 0o775, 0o757])("is not one that others may write: %o", (mode) => {
    assert.isUndefined(OwnFolder.make(folder(`written-${mode}`, mode)))
  })

  it("is not one in a folder where others may put another into its place", () => {
    assert.isUndefined(OwnFolder.make(join(folder("open", 0o777), "inside")))
    assert.isString(OwnFolder.make(join(folder("sticky", 0o1777), "inside")))
  })

  it("is no link, whose target may be changed, and no file", () => {
    symlinkSync(folder("target", 0o700), join(root, "link"))
    assert.isUndefined(OwnFolder.make(join(root, "link")))
    writeFileSync(join(root, "file"), "")
    assert.throws(() => OwnFolder.make(join(root, "file")))
  })

  it("is not somebody else's", () => {
    if (process.getuid?.() !== 0) return assert.isUndefined(OwnFolder.make("/usr"))
    const path = folder("theirs", 0o755)
    chownSync(path, 65_534, 65_534)
    assert.isUndefined(OwnFolder.make(path))
    assert.isUndefined(OwnFolder.make(join(path, "inside")))
  })

  it("is not used where it cannot be made", () => {
    const before = process.env["XDG_CACHE_HOME"]
    try {
      process.env["XDG_CACHE_HOME"] = join(root, "file")
      assert.isUndefined(OwnFolder.cache("holdfast"))
      process.env["XDG_CACHE_HOME"] = join(root, "cache")
      assert.isString(OwnFolder.cache("holdfast"))
    } finally {
      if (before === undefined) delete process.env["XDG_CACHE_HOME"]
      else process.env["XDG_CACHE_HOME"] = before
    }
  })
})
