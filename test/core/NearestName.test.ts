import { assert, it } from "@effect/vitest"
import * as NearestName from "../../src/core/NearestName.ts"

const names = ["name", "timeout", "concurrency", "keyConcurrency", "whenFull", "key", "kind"]

it.each([
  ["nam", "name"],
  ["names", "name"],
  ["timout", "timeout"],
  ["concurency", "concurrency"],
  ["KeyConcurency", "keyConcurrency"],
  ["whenfull", "whenFull"],
  ["keys", "key"]
])("%s is meant to be %s", (given, meant) => assert.strictEqual(NearestName.of(given, names), meant))

it.each(["", "x", "zebra", "\u{1F600}", "y".repeat(1_000_000)])("nothing is near to %#", (given) =>
  assert.isUndefined(NearestName.of(given, names))
)
