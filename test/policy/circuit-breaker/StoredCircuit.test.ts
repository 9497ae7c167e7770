import { assert, describe, it } from "@effect/vitest"
import { Duration, Option } from "effect"
import { CircuitBreaker as Circuits } from "effect/persistence"
import * as StoredCircuit from "../../../src/policy/circuit-breaker/StoredCircuit.ts"

const admitted = { generation: 1_790_000_000_000_000, probe: false, consecutiveOpenings: 0 }
const longest = 60_000
const [second, hour] = [Duration.seconds(1), Duration.hours(1)]

describe("what a store says of a circuit", () => {
  it("admits a call by whole numbers, and a flag", () => {
    assert.deepStrictEqual(
      StoredCircuit.admission({ ...admitted, transition: undefined, more: 1 }),
      Option.some(admitted)
    )
    const others = [
      undefined,
      null,
      5,
      "ok",
      [],
      ...[NaN, -1, 0.5, Infinity, 2 ** 53, "1", undefined].flatMap((odd) => [
        { ...admitted, generation: odd },
        { ...admitted, consecutiveOpenings: odd }
      ]),
      ...[1, "true", undefined].map((probe) => ({ ...admitted, probe }))
    ]
    for (const other of others) assert.deepStrictEqual(StoredCircuit.admission(other), Option.none())
  })

  it("turns a call away for no longer than a circuit can be open", () => {
    const error = (reason: Circuits.CircuitBreakerErrorReason) => new Circuits.CircuitBreakerError({ reason })
    const key = "m"
    const said = (reason: unknown) => StoredCircuit.rejection(reason, longest)
    const open = StoredCircuit.rejectionIn(error(new Circuits.CircuitOpen({ key, retryAfter: second })))
    assert.deepStrictEqual(said(open), Option.some({ _tag: "CircuitOpen", retryAfter: second } as const))
    assert.isTrue(Option.isSome(said(StoredCircuit.rejectionIn(error(new Circuits.CircuitHalfOpen({ key }))))))
    for (const retryAfter of [hour, Duration.infinity, Duration.millis(-1), 1_000, "1 second", undefined]) {
      assert.deepStrictEqual(said({ _tag: "CircuitOpen", retryAfter }), Option.none())
    }
    const failed = error(new Circuits.CircuitBreakerStoreError({ message: "gone" }))
    for (const other of [failed, undefined, "gone", { reason: { _tag: "Other" } }]) {
      assert.isUndefined(StoredCircuit.rejectionIn(other))
    }
  })

  it("went where a circuit can go", () => {
    const moved = (answer: unknown) => StoredCircuit.move(answer, longest)
    const opened = { to: "Open", retryAfter: second } as const
    assert.deepStrictEqual([undefined, { ...opened, from: "Closed" }, { to: "Closed" }].map(moved), [
      Option.some(undefined),
      Option.some(opened),
      Option.some({ to: "Closed" } as const)
    ])
    for (const other of [null, "Open", {}, { to: "Shut" }, { to: "Open" }, { to: "Open", retryAfter: hour }]) {
      assert.deepStrictEqual(moved(other), Option.none())
    }
  })
})
