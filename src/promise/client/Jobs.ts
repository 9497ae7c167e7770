/**
 * Runs the async functions of a client as jobs of its supervisor.
 */
import { Duration, Effect, Stream } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"
import * as Job from "../../supervisor/Job.ts"
import type { Supervisor } from "../../supervisor/Supervisor.ts"
import * as Supervisors from "../../supervisor/Supervisor.ts"
import type { Schema, Time } from "../Call.ts"
import { HoldfastError } from "../HoldfastError.ts"
import type {
  DefinedJob,
  EndReport,
  EveryOptions,
  Job as ClientJob,
  JobFilter,
  JobOptions,
  JobStatus,
  JobTools,
  WaitOptions,
  Work
} from "../Job.ts"
import { checkSignal } from "./CallSettings.ts"
import * as Failures from "./Failures.ts"
import * as JobViews from "./JobViews.ts"
import * as RepeatOptions from "./RepeatOptions.ts"
import { handled, type Runner } from "./Runner.ts"
import { Shown } from "./Shown.ts"
import * as StandardSchemas from "./StandardSchemas.ts"

type WithSignal = { readonly signal?: AbortSignal | undefined }

/** The jobs of one client. Every method takes the frames of whoever called the client. */
export class Jobs {
  private readonly runner: Runner
  private readonly names = new Set<string>()

  constructor(runner: Runner) {
    this.runner = runner
  }

  submit<A>(work: Work<A>, options: JobOptions | undefined, frames: Failures.Frames): Promise<ClientJob<A>> {
    const effect = Effect.suspend(() =>
      Supervisors.submit(this.effectOf(work, frames), { owner: "supervisor", ...options })
    )
    return this.runner.run(
      Effect.map(effect, (job) => this.handleOf<A>(job)),
      { frames }
    )
  }

  run<A>(work: Work<A>, options: (JobOptions & WithSignal) | undefined, frames: Failures.Frames): Promise<A> {
    const { signal, ...rest } = options ?? {}
    if (signal !== undefined) checkSignal(signal, OptionCheck.of("Client.run"))
    return this.runner.run(
      Effect.suspend(() => Supervisors.run(this.effectOf(work, frames), rest)),
      { frames, signal }
    )
  }

  define<In, A>(
    name: string,
    handler: (input: In, tools: JobTools) => PromiseLike<A> | A,
    schema: Pick<Schema, "~standard"> | undefined,
    frames: Failures.Frames
  ): DefinedJob<In, A> {
    defining.label("name", name, 1_000)
    defining.callback("handler", handler)
    if (this.names.has(name)) defining.reject("name", "one that is not defined yet", name)
    this.names.add(name)
    const check = async (input: In, signal?: AbortSignal): Promise<Work<A>> => {
      if (signal !== undefined) checkSignal(signal, OptionCheck.of("Client.run"))
      if (schema === undefined) return (tools) => handler(input, tools)
      const checked = await this.runner.run(StandardSchemas.check(schema, input), { frames, signal })
      if (checked.issues !== undefined) {
        const message = `the input of ${name} is refused: ${StandardSchemas.described(checked)}`
        throw Failures.at(new HoldfastError(message, { code: "invalid_input" }), frames)
      }
      // What the schema gives is what the handler takes, by the types of both.
      return (tools) => handler(checked.value as In, tools)
    }
    return {
      name,
      submit: (input, options) => handled(check(input).then((work) => this.submit(work, { ...options, name }, frames))),
      run: (input, options) =>
        handled(check(input, options?.signal).then((work) => this.run(work, { ...options, name }, frames)))
    }
  }

  every(
    schedule: Time | string,
    work: Work<unknown>,
    options: EveryOptions,
    frames: Failures.Frames
  ): Promise<ClientJob<void>> {
    const effect = Effect.suspend(() =>
      Supervisors.every(this.effectOf(work, frames), RepeatOptions.read(schedule, options))
    )
    return this.runner.run(
      Effect.map(effect, (job) => this.handleOf<void>(job)),
      { frames, apart: true }
    )
  }

  find(id: string, frames: Failures.Frames): Promise<ClientJob> {
    return this.runner.run(
      Effect.map(Supervisors.find(id), (job) => this.handleOf<unknown>(job)),
      { frames }
    )
  }

  list(filter: JobFilter | undefined, frames: Failures.Frames): Promise<ReadonlyArray<JobStatus>> {
    return this.runner.run(
      Effect.suspend(() => Effect.map(Supervisors.list(filter), (jobs) => jobs.map(JobViews.status))),
      { frames }
    )
  }

  cancelAll(filter: JobFilter | undefined, reason: string | undefined, frames: Failures.Frames): Promise<EndReport> {
    return this.runner.run(
      Effect.suspend(() => Supervisors.cancelAll(filter, { reason })),
      { frames }
    )
  }

  waitAll(filter: JobFilter | undefined, options: WaitOptions | undefined, frames: Failures.Frames): Promise<void> {
    const { signal, timeout } = waitOf("Client.waitAll", options)
    const limit = timeout === undefined ? undefined : Duration.fromInputUnsafe(timeout)
    return this.runner.run(
      Effect.suspend(() => Supervisors.awaitAll(filter, { limit })),
      { frames, signal }
    )
  }

  /** Work that fails with what its function threw. What it starts are jobs of its own. */
  private effectOf<A>(work: Work<A>, frames: Failures.Frames): Effect.Effect<A, unknown, Supervisor> {
    if (typeof work !== "function") submitting.reject("work", "an async function", work)
    submitting.callback("work", work)
    return Job.promise((tools) => work(this.toolsOf(tools, frames)))
  }

  private toolsOf({ report, run, signal, submit }: Job.PromiseTools, frames: Failures.Frames): JobTools {
    const shown = (error: unknown): never => {
      throw Failures.shown(error, frames)
    }
    return {
      signal,
      report,
      run: (work, options) => handled(run(this.effectOf(work, frames), options as object).catch(shown)),
      submit: (work, options) =>
        handled(submit(this.effectOf(work, frames), options as object).then((job) => this.handleOf(job), shown))
    }
  }

  private handleOf<A>(job: Job.Job<unknown, unknown>): ClientJob<A> {
    return new Handle<A>(job, this.runner)
  }
}

class Handle<A> extends Shown implements ClientJob<A> {
  protected readonly shownAs = "Job"
  readonly id: string
  readonly status: () => Promise<JobStatus>
  readonly result: (options?: WaitOptions) => Promise<A>
  readonly events: ClientJob<A>["events"]
  readonly cancel: (reason?: string) => Promise<JobStatus>
  private readonly reports: () => AsyncIterable<NonNullable<JobStatus["progress"]>>

  constructor(job: Job.Job<unknown, unknown>, runner: Runner) {
    super()
    this.id = job.id
    this.status = () => runner.ask(Effect.map(Job.status(job), JobViews.status), at(this.status))
    this.cancel = (reason) =>
      runner.ask(
        Effect.suspend(() => Effect.map(Job.cancel(job, { reason }), JobViews.status)),
        at(this.cancel)
      )
    this.result = (options) => {
      const { signal, timeout } = waitOf("Job.result", options)
      const joined = timeout === undefined ? Job.join(job) : Effect.flatten(Job.await(job, { limit: timeout }))
      // The handle was made for work that gives this.
      return runner.ask(joined, { ...at(this.result), signal }) as Promise<A>
    }
    this.events = (options) => {
      const frames = Failures.framesOf(this.events)
      const events = Stream.suspend(() => Job.events(job, options))
      return JobViews.iterable(Stream.map(events, JobViews.event), frames)
    }
    this.reports = () => JobViews.iterable(Job.progress(job), Failures.framesOf(this.reports))
  }

  get progress(): AsyncIterable<NonNullable<JobStatus["progress"]>> {
    return this.reports()
  }

  override toJSON(): object {
    return { id: this.id }
  }
}

const at = (door: (...args: ReadonlyArray<never>) => unknown) => ({ frames: Failures.framesOf(door) })

const waitOf = (owner: string, options: WaitOptions = {}): WaitOptions => {
  const check = OptionCheck.of(owner)
  check.fields(options, { signal: true, timeout: true })
  if (options.signal !== undefined) checkSignal(options.signal, check)
  if (options.timeout !== undefined) check.millis("timeout", options.timeout, { atLeast: 0, endless: true })
  return options
}

const defining = OptionCheck.of("Client.define")
const submitting = OptionCheck.of("Client.submit")
