import { Effect, Layer } from "effect"
import { BoundedClose, Caller } from "holdfast/core"
import { given, texts, type Table, times, walk } from "../optionWalk.ts"

const tables: ReadonlyArray<Table> = [
  [
    "Caller.as",
    "src/core/call/Caller.ts",
    "Options",
    (option, value) => Effect.suspend(() => Effect.void.pipe(Caller.as(given(option, value)))),
    {
      tenant: texts,
      task: texts,
      priority: ["0", "-0", "-1", "1.5", "2^31"]
    }
  ],
  [
    "BoundedClose",
    "src/core/BoundedClose.ts",
    "Options",
    (option, value) => Effect.sync(() => BoundedClose.layer(Layer.empty, given(option, value))),
    { limit: ["0", "-0", ...times], abandon: [] }
  ]
]

walk(tables)
