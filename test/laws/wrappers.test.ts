import { Effect, Result, Stream } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"
import { SupervisorLaws } from "holdfast/testing"
import { assert, describe, it } from "vitest"
import { withoutStackTraces } from "./stackTraces.ts"

withoutStackTraces()

type Service = Supervisor.Supervisor["Service"]

/** A supervisor that does one thing in another way than Holdfast's. */
const wrap =
  (
    change: (real: Service) => Partial<Service>,
    options: (given: Supervisor.Options) => Supervisor.Options = (given) => given
  ): SupervisorLaws.Make =>
  (given) =>
    Effect.map(Supervisor.make(options(given)), (real) => Supervisor.Supervisor.of({ ...real, ...change(real) }))

/** One that submits something else than what it was given. */
const submitting = (
  work: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<unknown, unknown, R>,
  options: (given: Supervisor.SubmitOptions<unknown>) => Supervisor.SubmitOptions<unknown> = (given) => given
): SupervisorLaws.Make =>
  wrap((real) => {
    const submit = (effect: Effect.Effect<unknown, unknown>, given: Supervisor.SubmitOptions<unknown> = {}) =>
      real.submit(work(effect), options(given))
    // What it submits has another type than it says: that is the fault.
    return { submit: submit as unknown as Service["submit"] }
  })

const same = <A, E, R>(effect: Effect.Effect<A, E, R>) => effect

// None of them touches a line of Holdfast: a supervisor made by wrapping can do all of this.
const faults: Readonly<Record<string, readonly [breaks: string, make: SupervisorLaws.Make]>> = {
  "every failure becomes a success": ["oneTerminalState", submitting(Effect.ignore)],
  "every success becomes a failure": [
    "oneTerminalState",
    submitting((effect) => Effect.andThen(effect, Effect.fail("no")))
  ],
  "defects become failures": [
    "oneTerminalState",
    submitting((effect) => Effect.catchDefect(effect, () => Effect.succeed(0)))
  ],
  "the time limit is ignored": ["stopsWaitForTheWork", submitting(same, (given) => ({ ...given, timeout: undefined }))],
  "every job has a time limit of an hour": [
    "stopsWaitForTheWork",
    submitting(same, (given) => ({ ...given, timeout: "1 hour" }))
  ],
  "retries are ignored": ["retriesAreAsAsked", submitting(same, (given) => ({ ...given, retry: undefined }))],
  "work is tried once more than asked": [
    "retriesAreAsAsked",
    submitting((effect) => Effect.retry(effect, { times: 1 }))
  ],
  "work is done twice": ["retriesAreAsAsked", submitting((effect) => Effect.andThen(effect, effect))],
  "work cannot be interrupted": ["stopsWaitForTheWork", submitting(Effect.uninterruptible)],
  "work goes on in the background when the job has ended": [
    "oneTerminalState",
    submitting((effect) => Effect.forkDetach(effect))
  ],
  "nothing is done": ["oneTerminalState", submitting(() => Effect.void)],
  "priority is ignored": ["whoeverIsDueGoesNext", submitting(same, (given) => ({ ...given, priority: "normal" }))],
  "keys are ignored": ["neverMoreThanTheLimit", submitting(same, (given) => ({ ...given, key: undefined }))],
  "the limit is ignored": [
    "neverMoreThanTheLimit",
    wrap(
      () => ({}),
      (given) => ({ ...given, concurrency: 100 })
    )
  ],
  "the failure hook is forgotten": [
    "noFailureIsSilent",
    wrap(
      () => ({}),
      (given) => ({ ...given, onFailure: undefined })
    )
  ],
  "everything is kept": [
    "theLatestAreKept",
    wrap(
      () => ({}),
      (given) => ({ ...given, retain: 100, retainResults: 100 })
    )
  ],
  "a drain forgets a job": [
    "drainAccountsForAll",
    wrap((real) => ({
      drain: (options) => Effect.map(real.drain(options), (report) => ({ ...report, jobs: report.jobs.slice(1) }))
    }))
  ],
  "events of jobs that start are lost": [
    "eventsHaveNoGaps",
    wrap((real) => ({
      events: (options) => real.events(options).pipe(Stream.filter(({ _tag }) => _tag !== "JobStarted"))
    }))
  ],
  "health is always perfect": [
    "healthSaysWhatIs",
    wrap((real) => ({ health: Effect.map(real.health, (health) => ({ ...health, score: 100 })) }))
  ],
  "a run does not end with its caller": [
    "stopsWaitForTheWork",
    wrap((real) => ({ run: (effect, options) => Effect.flatMap(real.submit(effect, options), joined) }))
  ]
}

const joined = <A, E>(job: Job.Job<A, E>) => Effect.flatten(Job.await(job))

describe("a supervisor made by wrapping", () => {
  it("keeps its promises when nothing is changed", async () => {
    const report = await Effect.runPromise(
      SupervisorLaws.check(
        wrap(() => ({})),
        { runs: 300 }
      )
    )
    assert.strictEqual(report.runs, 300)
  })

  it.each(Object.entries(faults))("%s: is found", { timeout: 60_000 }, async (_, [breaks, make]) => {
    const laws = SupervisorLaws.laws.filter(({ name }) => name === breaks)
    const options = { laws, runs: 9_000, shrink: false }
    const result = await Effect.runPromise(Effect.result(SupervisorLaws.check(make, options)))
    assert.strictEqual(Result.isFailure(result) ? result.failure.law : undefined, breaks)
  })
})
