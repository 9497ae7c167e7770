import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { JobStore } from "holdfast/durable"
import { Supervisor } from "holdfast/supervisor"
import {
  FaultyModel,
  FaultyServer,
  JobStoreLaws,
  LeakDetector,
  PolicyLaws,
  SeededScheduler,
  SupervisorLaws
} from "holdfast/testing"
import { given, isRefused, senseless } from "../optionWalk.ts"

type Use = (option: string, value: unknown) => Effect.Effect<unknown, unknown, Supervisor.Supervisor | Scope.Scope>

const kits: ReadonlyArray<readonly [string, ReadonlyArray<string>, Use]> = [
  ["FaultyModel", ["remember"], (option, value) => FaultyModel.make(given(option, value))],
  ["FaultyServer", ["remember"], (option, value) => FaultyServer.make(given(option, value))],
  [
    "Bucket",
    ["perSecond", "burst", "retryAfter"],
    (option, value) => Effect.sync(() => FaultyServer.bucket(given(option, value, { perSecond: 1 })))
  ],
  ["LeakDetector", ["settle", "handles"], (option, value) => LeakDetector.check(Effect.void, given(option, value))],
  [
    "JobStoreLaws",
    ["runs", "seed", "shrink"],
    (option, value) => JobStoreLaws.check(JobStoreLaws.fromLayer(JobStore.layerMemory), given(option, value))
  ],
  ["PolicyLaws", ["runs", "seed", "shrink"], (option, value) => PolicyLaws.check(PolicyLaws.own, given(option, value))],
  [
    "PolicyLaws",
    ["attempts", "overall", "attempt", "silence", "concurrency"],
    (option, value) => PolicyLaws.check({ policies: [], allows: given(option, value) })
  ],
  [
    "SeededScheduler",
    ["seed", "runs", "keep"],
    (option, value) => Effect.sync(() => SeededScheduler.explore(Effect.void, given(option, value)))
  ],
  [
    "SupervisorLaws",
    ["runs", "seed", "shrink"],
    (option, value) => SupervisorLaws.check(Supervisor.make, given(option, value))
  ]
]

describe.each(kits)("%s", (name, options, use) => {
  it.effect.each(options)("refuses a %s that makes no sense, by its name", (option) =>
    Effect.forEach(["NaN", "-Infinity", "a text", "an object", "a symbol"], (said) =>
      Effect.map(
        isRefused(
          Effect.suspend(() => use(option, senseless[said])),
          name,
          option
        ),
        (refused) => assert.isTrue(refused, said)
      )
    )
  )
})
