/**
 * Makes the calls of a supervisor and of its jobs that a program asks for, and notes them and their answers.
 */
import { Effect, Exit, Fiber, Stream } from "effect"
import type * as Job from "../../supervisor/Job.ts"
import type { Supervisor } from "../../supervisor/Supervisor.ts"
import { endingOf } from "../laws/Ending.ts"
import type { Tested } from "./Handles.ts"
import type * as Program from "./Program.ts"
import { errorOf, type Failure } from "./Submission.ts"
import { type Actor, interruptLimit, type Unplaced } from "./Trace.ts"
import type { Waited } from "./Waiting.ts"

export type Handle = Job.Job<unknown, Failure>

/** Where it is done. */
export interface Stage {
  /** Takes a note, and gives its time. */
  readonly note: (note: Unplaced) => number
  readonly take: (note: Unplaced) => Effect.Effect<void>
  /** Follows something in the background until the supervisor has closed. */
  readonly follow: (effect: Effect.Effect<void>) => Effect.Effect<void>
  /** Watches a job's state from now on. */
  readonly meet: (id: string, job: Job.Job<unknown, unknown>) => void
  readonly close: (by: Actor) => Effect.Effect<void>
  /** What a job is called in notes: its name, and its id where many have that name. */
  readonly label: (name: string, id: string) => string
}

export class Calls {
  private readonly tested: Tested
  private readonly stage: Stage
  private watchers = 0

  constructor(tested: Tested, stage: Stage) {
    this.tested = tested
    this.stage = stage
  }

  private get supervisor(): Supervisor["Service"] {
    return this.tested.supervisor
  }

  pauseName(name: string, isPaused: boolean, by: Actor): Effect.Effect<void> {
    const { stage, supervisor } = this
    return Effect.gen(function* () {
      stage.note({ _tag: isPaused ? "NamePauseCalled" : "NameResumeCalled", name, by })
      yield* Effect.orDie(isPaused ? supervisor.pauseName(name) : supervisor.resumeName(name))
      stage.note({ _tag: isPaused ? "NamePaused" : "NameResumed", name, by })
    })
  }

  list(by: Actor): Effect.Effect<void> {
    const { stage, supervisor } = this
    const note = (jobs: ReadonlyArray<Job.JobStatus>, position: number | undefined) =>
      stage.note({
        _tag: "Listed",
        by,
        position,
        jobs: jobs.map(({ id, metadata, name, state }) => ({ job: stage.label(name, id), id, state, metadata }))
      })
    return Effect.andThen(
      Effect.map(supervisor.list(), (jobs) => note(jobs, undefined)),
      Effect.map(supervisor.snapshot(), ({ jobs, position }) => void note(jobs, position))
    )
  }

  cancelAll(by: Actor): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      this.stage.note({ _tag: "CancelAllCalled", by })
      yield* this.tested.cancelAll
      this.stage.note({ _tag: "CancelAllReturned", by })
    })
  }

  drain(deadline: number, by: Actor): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      this.stage.note({ _tag: "DrainCalled", deadline, by })
      const { clean, jobs } = yield* this.supervisor.drain({ deadline, interruptLimit })
      const labelled = jobs.map((entry) => ({ ...entry, name: this.stage.label(entry.name, entry.id) }))
      this.stage.note({ _tag: "DrainReturned", by, report: { clean, jobs: labelled } })
    })
  }

  /** Reads events. */
  read(
    reader: number,
    { after, count, pause }: { readonly after: number; readonly count: number; readonly pause: number }
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.stage.note({ _tag: "ReaderBegan", reader, after })
      const events = this.supervisor.events({ after }).pipe(Stream.take(count))
      return Stream.runForEach(events, (event) =>
        Effect.andThen(this.stage.take({ _tag: "Read", reader, event }), pause > 0 ? Effect.sleep(pause) : Effect.void)
      )
    })
  }

  use(handle: Handle, step: Extract<Program.Step, { readonly job: string }>, by: Actor): Effect.Effect<void> {
    const { stage } = this
    const job = stage.label(handle.name, handle.id)
    switch (step.do) {
      case "join":
        return Effect.asVoid(this.wait(handle, by, undefined))
      case "await":
        return Effect.asVoid(this.wait(handle, by, step.limit))
      case "leave":
        return Effect.gen({ self: this }, function* () {
          const waiting = yield* Effect.forkChild(this.wait(handle, by, undefined, step.after))
          yield* Effect.sleep(step.after)
          yield* Fiber.interrupt(waiting)
          stage.note({ _tag: "Left", job, by })
        })
      case "cancel":
        return this.cancel(handle, by)
      case "find":
        return Effect.map(Effect.exit(this.supervisor.find(handle.id)), (exit) => {
          stage.note({ _tag: "Found", job, how: endingOf(exit) })
        })
      case "pause":
      case "resume": {
        const isPaused = step.do === "pause"
        const { pause, resume } = this.tested.handles
        return Effect.gen({ self: this }, function* () {
          stage.note({ _tag: isPaused ? "PauseCalled" : "ResumeCalled", job, by })
          yield* isPaused ? pause(handle) : resume(handle)
          stage.note({ _tag: isPaused ? "Paused" : "Resumed", job, by })
        })
      }
      case "watch": {
        const watcher = this.watchers++
        return stage.follow(
          Effect.gen({ self: this }, function* () {
            yield* Stream.runForEach(this.tested.handles.progress(handle), ({ fraction }) =>
              stage.take({ _tag: "Progress", job, watcher, fraction })
            ).pipe(Effect.ignore)
            stage.note({ _tag: "ProgressEnded", job, watcher })
          })
        )
      }
    }
  }

  /** Waits, and says what it came to: given up also when the end had come by its limit, and no slot to go on with. */
  wait(
    handle: Handle,
    by: Actor,
    limit: number | undefined,
    givenUpAfter: number | undefined = limit
  ): Effect.Effect<Waited> {
    const { stage } = this
    const job = stage.label(handle.name, handle.id)
    return Effect.gen({ self: this }, function* () {
      const called = stage.note({ _tag: "WaitCalled", job, by, limit: givenUpAfter })
      const exit = yield* Effect.exit(this.tested.handles.await(handle, { limit }))
      const result = Exit.isSuccess(exit) ? exit.value : exit
      const how = endingOf(result)
      const isOver = how === "StillRunning"
      const answered = stage.note(isOver ? { _tag: "GaveUp", job, by } : { _tag: "WaitReturned", job, by, how })
      const isGivenUp = isOver || (limit !== undefined && answered - called >= limit)
      // Only the wait gives up: a job that failed by that would be taken for one.
      return { isGivenUp, error: isOver ? undefined : errorOf(result) }
    })
  }

  cancel(handle: Handle, by: Actor): Effect.Effect<void> {
    const job = this.stage.label(handle.name, handle.id)
    return Effect.suspend(() => {
      this.stage.note({ _tag: "CancelCalled", job, by })
      return Effect.map(this.tested.handles.cancel(handle), ({ state }) =>
        this.stage.note({ _tag: "CancelReturned", job, by, state })
      )
    })
  }
}
