import { NodeServices } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { CacheUpkeep, Model } from "holdfast/model"
import { ResponseCache } from "holdfast/policy"
import { given, type Table, texts, times, walk } from "../optionWalk.ts"
import { scripted } from "../policy/scripted.ts"

const { provider } = scripted([])

const tables: ReadonlyArray<Table> = [
  [
    "CacheUpkeep",
    "src/model/CacheUpkeep.ts",
    "Options",
    (option, value) =>
      Effect.flatMap(ResponseCache.make({ timeToLive: "1 minute" }), (cache) =>
        Effect.provide(CacheUpkeep.run(cache, given<CacheUpkeep.Options>(option, value)), NodeServices.layer)
      ),
    { evictEvery: times, unusedFor: ["0", "-0", ...times], snapshot: [], warm: [] }
  ],
  [
    "Model",
    "src/model/Model.ts",
    "Options",
    (option, value) => Layer.build(Model.layer(given(option, value, { provider }))),
    { provider: [], policies: ["an array"], name: texts, traceToolParameters: ["true"] }
  ]
]

walk(tables)
