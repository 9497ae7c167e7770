/** Whoever reads what others wrote reads or refuses it, whatever it is, in time that grows as it does. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Chance } from "../../src/testing/seed/Chance.ts"
import { through } from "./foreignCalls.ts"
import { plain, type Reader } from "./foreignText.ts"
import { growing, long } from "./growingText.ts"

const unhandled: Array<unknown> = []
const hear = (error: unknown) => void unhandled.push(error)
beforeAll(() => void process.on("unhandledRejection", hear))
afterAll(() => {
  process.off("unhandledRejection", hear)
  assert.deepStrictEqual(unhandled, [])
})

const millisEach = 10_000 / (plain.length + through.length)

describe("reads or refuses whatever comes", () => {
  it.each([...plain, ...through].map((reader): [string, Reader] => [reader.name, reader]))(
    "%s",
    { timeout: 60_000 },
    async (_, reader) => {
      const counts = new Map<string, number>()
      const end = performance.now() + millisEach
      for (let seed = 1; performance.now() < end || seed < 100; seed++) {
        const came = await reader.tryOne(new Chance(seed))
        assert.include(["read", "refused"], came, `seed ${seed}`)
        counts.set(came, (counts.get(came) ?? 0) + 1)
      }
      assert.isAbove(counts.get("read") ?? 0, 0)
    }
  )
})

it.each(Object.entries(long))("runs out of no stack: %s", (_, read) => void read())

describe("costs as much as it is long", () => {
  const spent = (run: () => unknown): number => {
    const before = process.cpuUsage()
    run()
    const { system, user } = process.cpuUsage(before)
    return (system + user) / 1_000
  }
  it.each(Object.entries(growing))("%s", (_, make) => {
    // As for the answers of chat completions: eight times the text, and the least of some tries counts.
    let [small, large] = [Infinity, Infinity]
    for (let time = 0; time < 3 || (time < 9 && large >= 20 * small + 10); time++) {
      small = Math.min(small, spent(make(2 ** 16)))
      large = Math.min(large, spent(make(2 ** 19)))
    }
    assert.isBelow(large, 20 * small + 10)
  })
})
