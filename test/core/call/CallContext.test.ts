import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Attempt from "../../../src/core/call/Attempt.ts"
import * as AttemptAllowance from "../../../src/core/call/AttemptAllowance.ts"
import * as CallContext from "../../../src/core/call/CallContext.ts"
import * as Caller from "../../../src/core/call/Caller.ts"
import * as CallTrail from "../../../src/core/call/CallTrail.ts"
import * as Deadline from "../../../src/core/call/Deadline.ts"
import * as Refusals from "../../../src/core/call/Refusals.ts"
import * as ResponseHeaders from "../../../src/core/call/ResponseHeaders.ts"

const carried = Effect.all({
  trail: CallTrail.Current,
  allowance: AttemptAllowance.Current,
  refusals: Refusals.Current,
  deadline: Deadline.Current,
  origin: Attempt.CurrentOrigin,
  listener: ResponseHeaders.Listener,
  caller: Caller.Current
})

const outer = new CallTrail.Recorder()
const listener = () => undefined

const inCall = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  self.pipe(
    CallContext.fresh(outer),
    Effect.provideService(Deadline.Current, 1_000),
    Effect.provideService(Attempt.CurrentOrigin, "fallback"),
    Effect.provideService(ResponseHeaders.Listener, listener),
    Caller.as({ tenant: "acme", priority: "high" })
  )

describe("CallContext", () => {
  it.effect("begins a call with its own trail, allowance and refusals; the rest is its caller's", () =>
    Effect.gen(function* () {
      const trail = new CallTrail.Recorder()
      const around = yield* inCall(carried)
      const own = yield* inCall(CallContext.fresh(trail)(carried))
      assert.strictEqual(own.trail, trail)
      assert.isDefined(own.allowance)
      assert.isDefined(own.refusals)
      assert.notStrictEqual(own.allowance, around.allowance)
      assert.notStrictEqual(own.refusals, around.refusals)
      const { caller, deadline, origin, listener: hears } = own
      assert.deepStrictEqual([deadline, origin, hears, caller.tenant], [1_000, "fallback", listener, "acme"])
    })
  )

  it.effect("leaves a call without a trail of its own the one around it", () =>
    Effect.gen(function* () {
      const own = yield* inCall(CallContext.fresh()(carried))
      assert.strictEqual(own.trail, outer)
    })
  )

  it.effect("leaves nothing of a call to what runs detached from it, but for whom it is", () =>
    Effect.gen(function* () {
      const around = yield* inCall(carried)
      const own = yield* inCall(CallContext.detached("refresh")(carried))
      assert.deepStrictEqual([own.trail, own.deadline, own.listener], [undefined, undefined, undefined])
      assert.isDefined(own.allowance)
      assert.isDefined(own.refusals)
      assert.notStrictEqual(own.allowance, around.allowance)
      assert.notStrictEqual(own.refusals, around.refusals)
      assert.deepStrictEqual([own.origin, own.caller.tenant, own.caller.priority], ["refresh", "acme", 10])
    })
  )

  it.effect("leaves a call that is made for several without a deadline, and its headers to all of them", () =>
    Effect.gen(function* () {
      const all = () => undefined
      const around = yield* inCall(carried)
      const own = yield* inCall(Effect.provideContext(carried, CallContext.forSeveral(all)))
      assert.deepStrictEqual([own.deadline, own.listener, own.origin], [undefined, all, around.origin])
      assert.deepStrictEqual([own.trail, own.caller], [around.trail, around.caller])
    })
  )
})
