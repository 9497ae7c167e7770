import { NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import { BatchRun } from "holdfast/cli"
import { assert, it } from "@effect/vitest"
import { given, isRefused, senseless } from "../../optionWalk.ts"

const others = { input: "none.jsonl", output: "none.out", errors: "none.errors", baseUrl: "http://127.0.0.1:9/v1" }

it.effect.each(["concurrency", "requestsPerMinute", "timeout", "retries", "limit", "stopDeadline", "onEvent", "input"])(
  "BatchRun.run refuses a %s that makes no sense before it touches a file",
  (option) =>
    Effect.forEach(["NaN", "-1", "-Infinity", "an empty text", "an object"], (said) => {
      const run = Effect.suspend(() => BatchRun.run(given<BatchRun.Options>(option, senseless[said], others)))
      return Effect.map(isRefused(Effect.provide(run, NodeServices.layer), "BatchRun.run", option), (refused) =>
        assert.isTrue(refused, said)
      )
    })
)
