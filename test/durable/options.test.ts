import { Effect } from "effect"
import { JobStore, Sqlite } from "holdfast/durable"
import { given, type Table, texts, times, walk, wholes } from "../optionWalk.ts"

const tables: ReadonlyArray<Table> = [
  [
    "JobStore.layerMemory",
    "src/durable/store/Settings.ts",
    "Options",
    (option, value) => Effect.sync(() => JobStore.layerMemory(given(option, value))),
    { lease: times, aging: times, maxLost: wholes, maxTextBytes: ["0", "-0", "2^31"] }
  ],
  [
    "Sqlite.layer",
    "src/durable/Sqlite.ts",
    "Options",
    (option, value) => Effect.sync(() => Sqlite.layer(given(option, value, { path: "none" }))),
    { path: texts.slice(1), host: [] }
  ]
]

walk(tables)
