import { assert, describe, it } from "@effect/vitest"
import { JobError, Supervisor } from "holdfast/supervisor"
import * as Drain from "../../src/supervisor/operations/Drain.ts"
import { score } from "../../src/supervisor/operations/Health.ts"
import { maxQueued } from "../../src/supervisor/operations/PeriodicOptions.ts"
import { type Field, fieldsOf, read, rows, under, unquoted, written } from "./pages.ts"

const page = read("docs/supervisor.md")

/** The default as the comment states it; an option without one defaults to nothing, which the page calls none. */
const commented = ({ comment, isOptional }: Field): string =>
  isOptional ? unquoted(/Default:? (.+?)(?:\.(?:\s|$)|$)/.exec(comment)?.[1] ?? "none") : "required"

const none = { pending: 0, running: 0, completed: 0, failed: 0, cancelled: 0 }
const well = {
  jobs: none,
  calls: none,
  accepting: true,
  running: 0,
  concurrency: 50,
  waiting: 0,
  maxPending: 100,
  oldestWaitingMillis: undefined,
  lastMinute: { started: 0, succeeded: 0, failed: 0 },
  errorRatio: 0,
  stuck: [],
  failingPeriodic: [],
  paused: { jobs: 0, names: [] },
  droppedReports: 0,
  failureHook: { ignoring: 0, missed: 0 },
  eventLoopLagMillis: 0
}

const tables = [
  [
    "Supervisor.layer",
    [
      ["lifecycle/Settings.ts", "Limits"],
      ["Supervisor.ts", "Options"]
    ],
    Supervisor.defaults
  ],
  ["Supervisor.submit", [["operations/SubmitOptions.ts", "Options"]], {}],
  ["Supervisor.every", [["operations/PeriodicOptions.ts", "Options"]], {}],
  ["Supervisor.drain", [["operations/Drain.ts", "Options"]], Drain.defaults],
  ["Supervisor.list", [["records/Filter.ts", "Filter"]], {}]
] as const

describe("the page of the supervisor", () => {
  it("has the fixed headings in order", () => {
    assert.deepStrictEqual(
      Array.from(page.matchAll(/^## (.+)$/gm), ([, heading]) => heading),
      ["What for", "Example", "Options and defaults", "States", "Waiting", "Recipes", "What you see", "Mistakes"]
    )
  })

  it.each(tables)("lists every option of %s, and no other, with its default", (heading, sources, defaults) => {
    const fields = sources.flatMap(([file, name]) => fieldsOf(`src/supervisor/${file}`, name))
    assert.isNotEmpty(fields)
    assert.deepStrictEqual(
      rows(under(page, `### ${heading}`)),
      Object.fromEntries(fields.map((field) => [field.name, commented(field)]))
    )
    // What is said of a default is what holds.
    for (const [name, value] of Object.entries(defaults)) {
      const field = fields.find((field) => field.name === name)
      assert(field !== undefined, `${name} has a default and is no option`)
      assert.strictEqual(commented(field), written(value), name)
    }
  })

  it("names the levels of priority with their numbers", () => {
    const text = under(page, "### Supervisor.submit")
    for (const [name, points] of Object.entries(Supervisor.priorities)) assert.include(text, `\`${name}\` (${points})`)
  })

  it("says how many rounds may wait", () => {
    assert.include(under(page, "### Something every ten seconds"), `at most ${maxQueued} wait`)
  })

  it("lists every reason of a JobError and every event, and no other", () => {
    const [errors = "", events = ""] = under(page, "## What you see").split("**Events.**")
    const reasons = JobError.Reason.members.map((reason) => reason.identifier)
    assert.sameMembers(Object.keys(rows(errors)), reasons)
    const tags = Array.from(read("src/core/JobEvent.ts").matchAll(/extends (?:Base|Ended)<"(\w+)">/g), ([, tag]) => tag)
    assert.isAbove(tags.length, 5)
    assert.sameMembers(Object.keys(rows(events)), [...tags, "EventsMissed"])
  })

  it("draws every state, from and to", () => {
    const [diagram = ""] = /```mermaid\n.*?```/s.exec(under(page, "## States")) ?? []
    const ends = ["completed", "failed", "cancelled"]
    const expected = [
      ["[*]", "pending"],
      ["pending", "running"],
      ["pending", "cancelled"],
      ...ends.map((end) => ["running", end]),
      ...ends.map((end) => [end, "[*]"])
    ]
    assert.deepStrictEqual(
      Array.from(diagram.matchAll(/^ +(\S+) --> (\S+):/gm), ([, from, to]) => [from, to]),
      expected
    )
  })

  it("works out the score as the code does", () => {
    const health = { ...well, waiting: 50, errorRatio: 0.25 }
    const text = under(page, "### Health and the status line")
    assert.include(text, `With every fourth job failing and a queue that is half full it is ${score(health)}.`)
    const weights = Array.from(text.matchAll(/^ +- (\d+) /gm), ([, weight]) => Number(weight))
    const worst = {
      error: { ...well, errorRatio: 1 },
      queue: { ...well, waiting: 100 },
      stuck: { ...well, stuck: [{ id: "job-1", name: "a", forMillis: 5_000 }] },
      periodic: { ...well, failingPeriodic: [{ id: "job-1", name: "a", inARow: 3 }] },
      lag: { ...well, eventLoopLagMillis: 60_000 }
    }
    assert.deepStrictEqual(
      [50, ...weights],
      Object.values(worst).map((health) => 100 - score(health))
    )
    assert.match(text, /^100 - 50 × /m)
  })
})
