import { Effect } from "effect"
import { JobStore } from "holdfast/durable"
import { given, type Table, times, walk, wholes } from "../optionWalk.ts"

const tables: ReadonlyArray<Table> = [
  [
    "JobStore.layerMemory",
    "src/durable/store/Settings.ts",
    "Options",
    (option, value) => Effect.sync(() => JobStore.layerMemory(given(option, value))),
    { lease: times, aging: times, maxLost: wholes, maxTextBytes: ["0", "-0", "2^31"] }
  ]
]

walk(tables)
