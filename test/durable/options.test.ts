import { Effect, Schema } from "effect"
import { DurableJob, JobStore, Sqlite } from "holdfast/durable"
import { given, type Table, texts, times, walk, wholes } from "../optionWalk.ts"

const job = DurableJob.make("job", { payload: Schema.Void, success: Schema.Void })

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
  ],
  [
    "DurableJob.submit",
    "src/durable/DurableJob.ts",
    "SubmitOptions",
    (option, value) => Effect.provide(job.submit(undefined, given(option, value)), JobStore.layerMemory()),
    {
      id: texts.slice(1),
      idempotencyKey: texts.slice(1),
      key: texts,
      priority: ["0", "-0", "-1", "1.5"],
      delay: ["0", "-0", "1.5", "2^31"],
      metadata: []
    }
  ],
  [
    "DurableJob.layerWorker",
    "src/durable/DurableJob.ts",
    "WorkerOptions",
    (option, value) => Effect.sync(() => DurableJob.layerWorker([], given(option, value))),
    { concurrency: [], worker: texts.slice(1), poll: times }
  ]
]

walk(tables)
