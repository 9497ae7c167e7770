import { Effect, type Scope } from "effect"
import * as policies from "holdfast/policy"
import { Bulkhead, Fallback, Retry, Timeout } from "holdfast/policy"
import { type ModelProvider } from "holdfast/provider"
import { Model } from "holdfast/model"
import { PolicyLaws } from "holdfast/testing"
import { assert, describe, it } from "@effect/vitest"
import { withoutStackTraces } from "./stackTraces.ts"

// The same ones every time, so that what is green stays so; `npm run explore:policies` takes new ones.
const seed = Number(process.env["HOLDFAST_SEED"] ?? 20_261_121)
const runs = 20_000

withoutStackTraces()

describe("policies alone, and in random stacks, under generated programs", () => {
  it.live(
    `keep their promises in 20,000 runs (HOLDFAST_SEED=${seed})`,
    () =>
      Effect.gen(function* () {
        const before = process.cpuUsage()
        const report = yield* PolicyLaws.explore({ runs, seed })
        const { system, user } = process.cpuUsage(before)
        console.log(report, `${Math.round((user + system) / 1e6)} s of CPU`)
        assert.strictEqual(report.runs, runs)
        // All policies there are; `Pipeline` is made of others.
        const tried = new Set(Object.keys(report.policies).map((kind) => kind.split(".")[0]))
        assert.sameMembers(
          [...tried],
          Object.keys(policies).filter((name) => name !== "Pipeline")
        )
        // Each policy is tried often, and what can become of a call becomes of many.
        for (const count of Object.values(report.policies)) assert.isAtLeast(count, runs / 10)
        for (const ending of ["succeeded", "failed", "interrupted", "left", "never", "died"]) {
          assert.isAtLeast(report.endings[ending] ?? 0, runs / 100, ending)
        }
      }),
    300_000
  )
})

describe("a stack of one's own", () => {
  const overall = Timeout.overall("20 seconds")
  const inner = [
    Retry.transient({ times: 2 }),
    Bulkhead.limit({ concurrency: 2 }),
    Timeout.perAttempt({ attempt: "9 seconds", firstToken: "5 seconds", idle: "3 seconds" })
  ]
  const allows = { attempts: 3, overall: "20 seconds", attempt: "9 seconds", silence: "5 seconds" } as const

  it.effect.prop("is checked with generated programs", [PolicyLaws.programs], ([program]) =>
    PolicyLaws.check({ policies: [overall, ...inner], allows: { ...allows, concurrency: 2 } }, program)
  )

  it.effect.prop("may be a function that asks other models too", [PolicyLaws.programs], ([program]) => {
    const withSpare = (
      provider: ModelProvider.ModelProvider,
      [spare = provider]: ReadonlyArray<ModelProvider.ModelProvider>
    ): Effect.Effect<ModelProvider.ModelProvider, never, Scope.Scope> =>
      Model.compose({ provider, policies: [overall, Fallback.to(spare), ...inner] })
    return PolicyLaws.check(withSpare, program)
  })
})
