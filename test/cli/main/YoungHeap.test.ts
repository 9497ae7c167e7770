import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"

it("makes the young generation eight times as large, and keeps it so", () => {
  const source = new URL("../../../src/cli/main/YoungHeap.ts", import.meta.url)
  const script = `
    const { capacity, settle } = await import(${JSON.stringify(source)})
    const sizes = [capacity()]
    settle()
    sizes.push(capacity())
    const kept = []
    for (let n = 0; n < 1_000_000; n++) kept.push({ n })
    sizes.push(capacity())
    console.log(JSON.stringify(sizes.map((size) => Math.round(size / 2 ** 20))))`
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" })
  assert.deepStrictEqual(JSON.parse(stdout), [1, 8, 8])
})
