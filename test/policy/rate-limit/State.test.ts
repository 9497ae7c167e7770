import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Bucket from "../../../src/policy/rate-limit/Bucket.ts"
import type { Told } from "../../../src/policy/rate-limit/Headers.ts"
import * as State from "../../../src/policy/rate-limit/State.ts"

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const need = (inputTokens: number, outputTokens: number): State.Need => ({
  requests: 1,
  tokens: inputTokens + outputTokens,
  inputTokens,
  outputTokens
})

const told = (limit: number, remaining?: number, windowMillis = 1_000): Told => ({
  dimension: "requests",
  limit,
  remaining,
  resetMillis: undefined,
  windowMillis,
  windowFits: [windowMillis, windowMillis],
  isContinuous: true
})

const rejection = (retryAfterMillis?: number, all: ReadonlyArray<Told> = []): State.Rejection => ({
  retryAfterMillis,
  told: all,
  draw: 0
})

/** Lets so many calls through at once, whether or not they may. */
const takeMany = (state: State.State, count: number, now: number) => {
  const tickets: Array<State.Taken> = []
  for (let n = 0; n < count; n++) {
    const [next, ticket] = State.take(state, State.oneRequest, now)
    state = next
    tickets.push(ticket)
  }
  return { state, tickets }
}

const nth = <A>(all: ReadonlyArray<A>, n: number): A => all.at(n) ?? assert.fail(`there is no ${n}`)

const available = (state: State.State, now: number) => State.limits(state, now).map((limit) => limit.available)

describe("the limits of a key", () => {
  const Call = Schema.Struct({ after: int(0, 400), input: int(0, 60), output: int(0, 60), used: int(0, 60) })
  const limits = { requests: 20, tokens: 600, inputTokens: 400, outputTokens: 300 } as const
  const names = ["requests", "tokens", "inputTokens", "outputTokens"] as const

  it.prop(
    "never let through more than what was there and what refilled, of requests, tokens, input and output together",
    [Schema.Array(Call)],
    ([calls]) => {
      const given = names.map((dimension) =>
        Bucket.make({ dimension, limit: limits[dimension], windowMillis: 1_000, learned: false, now: 0 })
      )
      let state = State.make(given, false, 0)
      let now = 0
      // What each limit has granted in the end, with what was corrected.
      const granted = { requests: 0, tokens: 0, inputTokens: 0, outputTokens: 0 }
      for (const { after, input, output, used } of calls) {
        now += after
        const wanted = need(input, output)
        const { millis } = State.wait(state, wanted, now)
        now += Math.ceil(millis)
        assert.strictEqual(State.wait(state, wanted, now).millis, 0, "a wait that is over is over")
        const [taken, ticket] = State.take(state, wanted, now)
        for (const name of names) {
          granted[name] += wanted[name]
          assert.isAtMost(granted[name], limits[name] + (limits[name] * now) / 1_000 + 1e-3, name)
        }
        // It used no more than was estimated: a debt may exceed the limit, and is tested below.
        const actual = need(Math.min(input, used), Math.min(output, used))
        state = State.settle(taken, ticket, actual, now)
        for (const name of names) granted[name] -= wanted[name] - actual[name]
      }
    }
  )

  it.prop(
    "wait for all of several calls as long as for one after the other",
    [Schema.Array(int(1, 50)), int(1, 100)],
    ([tokens, limit]) => {
      const given = Bucket.make({ dimension: "tokens", limit, windowMillis: 1_000, learned: false, now: 0 })
      const all = tokens.reduce((sum, each) => sum + each, 0)
      const together = Bucket.waitForAll(given, all, 0)
      let bucket = given
      for (const each of tokens) bucket = Bucket.take(bucket, each, 0)
      assert.approximately(Bucket.waitForAll(bucket, 0, 0), tokens.length === 0 ? 0 : Math.max(0, together), 101)
    }
  )

  it("let a call that needs more than there is room for go when it is full, and have it refill first", () => {
    const bucket = Bucket.make({ dimension: "tokens", limit: 60, windowMillis: 60_000, learned: false, now: 0 })
    assert.strictEqual(bucket.capacity, 6)
    assert.strictEqual(Bucket.wait(bucket, 50, 0), 0)
    const after = Bucket.take(bucket, 50, 0)
    assert.strictEqual(Bucket.level(after, 100), -44)
    assert.strictEqual(Bucket.wait(after, 1, 100), 45_000)
  })

  it("take what a call used beyond its estimate afterwards, and give back what it did not use", () => {
    const bucket = Bucket.make({ dimension: "tokens", limit: 100, windowMillis: 1_000, learned: false, now: 0 })
    const [state, ticket] = State.take(State.make([bucket], false, 0), need(20, 20), 0)
    assert.deepStrictEqual(available(state, 0), [60])
    assert.deepStrictEqual(available(State.settle(state, ticket, need(20, 5), 0), 0), [75])
    assert.deepStrictEqual(State.wait(State.settle(state, ticket, need(20, 200), 0), need(1, 0), 100).millis, 1_210)
  })

  it.prop(
    "take no more than two windows for what one call is said to have used",
    [int(1, 1_000), int(1, 100_000), int(0, 1_000_000_000)],
    ([limit, windowMillis, used]) => {
      const bucket = Bucket.make({ dimension: "tokens", limit, windowMillis, learned: false, now: 0 })
      const [state, ticket] = State.take(State.make([bucket], false, 0), need(1, 0), 0)
      const settled = State.settle(state, ticket, need(0, used), 0)
      assert.isAtMost(State.wait(settled, need(1, 0), 0).millis, 2 * windowMillis + (2 * windowMillis) / limit + 100)
    }
  )

  it("are told by headers; a quota over more than a minute is no pace", () => {
    const { state, tickets } = takeMany(State.make([], true, 0), 3, 0)
    const learned = State.learn(state, [told(20, 17)], nth(tickets, 2), 0)
    assert.deepStrictEqual(State.limits(learned, 0), [
      {
        dimension: "requests",
        limit: 20,
        windowMillis: 1_000,
        available: 17,
        learned: true,
        expiresInMillis: 600_000,
        clamped: false
      }
    ])
    assert.strictEqual(learned.pace.kind, "free")
    const daily = State.learn(state, [told(14_400, 14_370, 86_400_000)], nth(tickets, 2), 0)
    assert.deepStrictEqual([daily.pace.kind, available(daily, 0)], ["starting", [14_370]])
  })

  it("count what went after the call whose response tells what remains", () => {
    const { state, tickets } = takeMany(State.make([], true, 0), 10, 0)
    assert.deepStrictEqual(available(State.learn(state, [told(20, 19)], nth(tickets, 0), 0), 0), [10])
    assert.deepStrictEqual(available(State.learn(state, [told(20, 12)], nth(tickets, 0), 0), 0), [3])
  })

  it("are not told by a response that is older than one heard before", () => {
    const { state, tickets } = takeMany(State.make([], true, 0), 2, 0)
    const newest = State.learn(state, [told(20, 18)], nth(tickets, 1), 0)
    assert.strictEqual(State.learn(newest, [told(500, 499)], nth(tickets, 0), 0), newest)
  })

  it("are never raised by what remains, so that those who wait do not go all at once", () => {
    const { state, tickets } = takeMany(State.make([], true, 0), 20, 0)
    const empty = State.learn(state, [told(20, 1)], nth(tickets, 19), 0)
    const [next, ticket] = State.take(empty, State.oneRequest, 0)
    assert.deepStrictEqual(available(State.learn(next, [told(20, 19)], ticket, 0), 0), [0])
  })

  it("hold beside those that were given, so that the narrower one decides", () => {
    const given = Bucket.make({ dimension: "requests", limit: 5, windowMillis: 1_000, learned: false, now: 0 })
    const { state, tickets } = takeMany(State.make([given], true, 0), 5, 0)
    const wide = State.learn(state, [told(1_000, 999)], nth(tickets, 4), 0)
    assert.strictEqual(State.wait(wide, State.oneRequest, 0).millis, 300)
  })
})

describe("a rejection", () => {
  const limited = () => {
    const bucket = Bucket.make({ dimension: "requests", limit: 20, windowMillis: 1_000, learned: false, now: 0 })
    return takeMany(State.make([bucket], false, 0), 10, 0)
  }

  it("lets nothing go for the time asked for, and then one by one", () => {
    const { state, tickets } = limited()
    const pauses = [5_000, 100]
    for (const millis of pauses) {
      const paused = State.reject(state, rejection(millis), nth(tickets, 9), 0)
      assert.strictEqual(State.wait(paused, State.oneRequest, 0).millis, millis)
      const [after] = State.take(paused, State.oneRequest, millis)
      assert.isAtLeast(State.wait(after, State.oneRequest, millis).millis, 50)
    }
  })

  it("adds to Retry-After and never takes from it", () => {
    const { state, tickets } = limited()
    const wait = (draw: number) =>
      State.wait(State.reject(state, { ...rejection(60_000), draw }, nth(tickets, 9), 0), State.oneRequest, 0).millis
    assert.deepStrictEqual([wait(0), wait(1)], [60_000, 61_000])
  })

  it("waits for the latest of the limits that are used up", () => {
    const { state, tickets } = limited()
    const used = (dimension: "requests" | "tokens", resetMillis: number, remaining?: number): Told => ({
      ...told(10, remaining, 60_000),
      dimension,
      resetMillis,
      isContinuous: false
    })
    const wait = (...all: ReadonlyArray<Told>) =>
      State.wait(State.reject(state, rejection(undefined, all), nth(tickets, 9), 0), State.oneRequest, 0).millis
    assert.strictEqual(wait(used("requests", 2_000), used("tokens", 7_000)), 7_000)
    assert.strictEqual(wait(used("requests", 2_000), used("tokens", 7_000, 5)), 2_000)
    // Refilled bit by bit, the next one is there long before the reset.
    assert.strictEqual(wait({ ...used("requests", 59_000), isContinuous: true }), 6_000)
  })

  it("without a word about the time waits a second, and longer when that was too short", () => {
    let { state, tickets } = limited()
    let now = 0
    const waits = [1, 2, 3, 4].map(() => {
      state = State.reject(state, rejection(), nth(tickets, -1), now)
      const { millis } = State.wait(state, State.oneRequest, now)
      now += millis
      const next = takeMany(state, 1, now)
      state = next.state
      tickets = next.tickets
      return millis
    })
    assert.deepStrictEqual(waits, [1_000, 2_000, 4_000, 8_000])
  })

  it("waits a second also when the very first call is rejected: no wait was too short yet", () => {
    const { state, tickets } = takeMany(State.make([], true, 0), 1, 0)
    assert.strictEqual(
      State.wait(State.reject(state, rejection(), nth(tickets, 0), 0), State.oneRequest, 0).millis,
      1_000
    )
  })

  it("of all that was sent measures nothing: it begins anew after the pause", () => {
    for (const count of [1, 3]) {
      const { state: sent, tickets } = takeMany(State.make([], true, 0), count, 0)
      let state = sent
      for (const ticket of tickets) state = State.reject(state, rejection(5_000), ticket, 0)
      assert.strictEqual(State.wait(state, State.oneRequest, 0).millis, 5_000)
      assert.isBelow(State.wait(state, { ...State.oneRequest, requests: 10 }, 5_000).millis, 1_000)
    }
  })

  it("of a call sent before the last rejection was known is not a new one", () => {
    const { state, tickets } = limited()
    const first = State.reject(state, rejection(1_000), nth(tickets, 8), 100)
    const second = State.reject(first, rejection(1_000), nth(tickets, 9), 100)
    assert.strictEqual(first.rejected, second.rejected)
    assert.isBelow(second.pace.measured, first.pace.measured)
    assert.isAbove(second.pace.measured, first.pace.measured / 2)
  })
})

/**
 * Sends as many calls as are wanted, as fast as they may go, at a token bucket that tells nothing but `retry-after`.
 * Rejections are heard after `travel` milliseconds; a rejected call comes again.
 */
const simulate = (bucket: { rate: number; burst: number }, calls: number, dropAfter = Infinity, travel = 5) => {
  let state = State.make([], true, 0)
  let { burst, rate } = bucket
  let [now, level, at, sent, accepted, last, waiting] = [0, burst, 0, 0, 0, 0, calls]
  const coming: Array<{ readonly at: number; readonly act: () => void }> = []
  const then = (after: number, act: () => void) => {
    coming.push({ at: now + after, act })
    coming.sort((a, b) => a.at - b.at)
  }
  while (waiting > 0 || coming.length > 0) {
    const wait = waiting > 0 ? Math.ceil(State.wait(state, State.oneRequest, now).millis) : Infinity
    const [next] = coming
    if (next !== undefined && next.at <= now + wait) {
      now = next.at
      coming.shift()
      next.act()
    } else if (wait > 0) {
      now += wait
    } else {
      const [taken, ticket] = State.take(state, State.oneRequest, now)
      state = taken
      waiting--
      sent++
      level = Math.min(burst, level + ((now - at) * rate) / 1_000)
      at = now
      if (level >= 1) {
        level--
        last = now
        if (++accepted === dropAfter) {
          rate /= 10
          burst /= 10
          level = Math.min(level, burst)
        }
      } else {
        then(travel, () => {
          state = State.reject(state, { ...rejection(1_000), draw: 0.5 }, ticket, now)
          then(1_050, () => waiting++)
        })
      }
    }
  }
  return { perSuccess: sent / calls, seconds: last / 1_000 }
}

describe("a limit nobody tells", () => {
  it("of 20 a second costs 200 calls at most 2 rejections, and at most a tenth more time", () => {
    const { perSuccess, seconds } = simulate({ rate: 20, burst: 20 }, 200)
    assert.isAtMost(perSuccess, 1.01)
    assert.isAtMost(seconds, 9 * 1.1)
  })

  it("which there is none of lets through more calls than a clock of milliseconds tells apart", () => {
    let state = State.make([], true, 0)
    let late = 0
    for (let now = 0; now < 20_000; now++) {
      for (let n = 0; n < 20 && State.wait(state, State.oneRequest, now).millis === 0; n++) {
        state = State.take(state, State.oneRequest, now)[0]
        if (now >= 15_000) late++
      }
    }
    assert.strictEqual(late, 5_000 * 20)
  })

  it("that drops to a tenth is found within a few rejections", () => {
    const { perSuccess, seconds } = simulate({ rate: 20, burst: 20 }, 140, 100)
    assert.isAtMost(perSuccess, 1.05)
    assert.isAtMost(seconds, 24 * 1.1)
  })

  it("that is far away is no hindrance: 200 calls are on their way within two seconds", () => {
    const { perSuccess, seconds } = simulate({ rate: 1e6, burst: 1e6 }, 200)
    assert.strictEqual(perSuccess, 1)
    assert.isAtMost(seconds, 2)
  })

  it.prop("wastes few calls, whatever it is", [int(2, 200), int(1, 3), int(1, 100)], ([rate, seconds, travel]) => {
    const { perSuccess } = simulate({ rate, burst: rate * seconds }, 400, Infinity, travel)
    // What goes at once at the start, and what is on its way while a rejection travels, cannot be known.
    assert.isAtMost(perSuccess, 1.25)
  })

  it("that has risen tenfold is found again", () => {
    const { state: before, tickets } = takeMany(State.make([], true, 0), 20, 0)
    let state = State.reject(before, rejection(1_000), nth(tickets, 19), 0)
    let now = 1_000
    let sent = 0
    for (; now < 600_000; now += Math.max(1, Math.ceil(State.wait(state, State.oneRequest, now).millis))) {
      if (State.wait(state, State.oneRequest, now).millis > 0) continue
      state = takeMany(state, 1, now).state
      if (++sent === 3_000) break
    }
    assert.isBelow(now, 120_000)
  })
})
