/**
 * What a client is made of, and what it says of itself.
 */
import type { ModelProvider, Policy } from "../core/call/ModelProvider.ts"
import type { Health as ModelsHealth } from "../model/Model.ts"
import type { Options as PipelineOptions } from "../policy/Pipeline.ts"
import type * as AiSdk from "../provider/AiSdk.ts"
import type { Hooks, Time } from "./Call.ts"
import type { EndReport, JobStatus } from "./Job.ts"

/**
 * A model: `"openai/gpt-5-mini"`, a model of the AI SDK, or a provider of this library.
 *
 * A text is `name/model`. The key is read from `NAME_API_KEY`, and the address from `NAME_BASE_URL` where it is set. Known names:
 * `openai`, `anthropic`, `deepseek`, `fireworks`, `google`, `groq`, `mistral`, `ollama`, `openrouter`, `together`, `xai`. With
 * `baseUrl` the text is the model's name as the server knows it.
 */
export type ModelChoice = string | AiSdkModel | ModelProvider

/** A model of the AI SDK, as `openai("gpt-5-mini")` of `@ai-sdk/openai` gives one. */
export type AiSdkModel = Parameters<typeof AiSdk.provider>[0]

/** How many jobs run, wait and are remembered. */
export interface JobLimits {
  /** Jobs that run at the same time; the others wait. Default 50. */
  readonly concurrency?: number | undefined
  /** Jobs with the same `key` that run at the same time. Default: as many as run at all. */
  readonly keyConcurrency?: number | undefined
  /** Jobs that may wait. Default 10,000. */
  readonly maxPending?: number | undefined
  /** The time limit of jobs that are submitted without one. Default: none. */
  readonly timeout?: Time | undefined
  /** Ended jobs that are remembered. Default 1,000. */
  readonly retain?: number | undefined
  /** How long an ended job is remembered. Default 1 hour. */
  readonly retainFor?: Time | undefined
  /** Bytes that the results and errors of ended jobs may take together, estimated. Default 64 MiB. */
  readonly retainBytes?: number | undefined
  /** Events of all jobs together that are kept for `job.events({ after })`. Default 4,096. */
  readonly eventHistory?: number | undefined
  /** How long a job may ignore its end before `health` counts it as stuck. Default 5 seconds. */
  readonly stuckAfter?: Time | undefined
  /** How ids are made that nobody chose: at random, or `job-1`, `job-2`, …. Default `random`. */
  readonly ids?: "counted" | "random" | undefined
}

/** What is logged. */
export interface LogEntry {
  readonly level: "debug" | "info" | "warn" | "error"
  readonly message: string
  /** The job that it is about, where it is about one. */
  readonly job?: { readonly id: string; readonly name: string }
}

/** A job that failed. */
export interface JobFailure {
  /** How it is, now that it has ended. */
  readonly job: JobStatus
  /** What its work threw, or a `HoldfastError`. */
  readonly error: unknown
}

/** How a client is made. */
export interface ClientOptions extends Hooks {
  /** The model to call. Default: none, and `models` or jobs alone. */
  readonly model?: ModelChoice | undefined
  /** Several models by names of your own; a call chooses by `model: "name"`. The first is the default. Default: none. */
  readonly models?: Readonly<Record<string, ModelChoice>> | undefined
  /** Who is asked when a model fails, in order. Default: nobody. */
  readonly fallback?: ReadonlyArray<ModelChoice> | undefined
  /** The key of models given as texts. Default: from the environment. With `baseUrl`: none. */
  readonly apiKey?: string | undefined
  /** The server of models given as texts: any that speaks OpenAI's chat completions. Default: that of the model's name. */
  readonly baseUrl?: string | URL | undefined
  /** How long a call may take, everything together. Default 2 minutes. */
  readonly timeout?: Time | undefined
  /**
   * What keeps calls within bounds, beside the defaults of `Pipeline.standard`: retries, rate limits told by the provider and a
   * circuit breaker are there; caches, budgets, limits of tenants and more are asked for here. Each model has its own.
   */
  readonly pipeline?: Omit<PipelineOptions, "timeout" | "fallback"> | undefined
  /** Policies to take in place of all these, outermost first. Default: those of `pipeline`. */
  readonly policies?: ReadonlyArray<Policy> | undefined
  /** How many jobs run, wait and are remembered. */
  readonly jobs?: JobLimits | undefined
  /**
   * Hears of each job that failed, once it has ended: for alerts. Work that repeats is heard of for each round. A cancellation is
   * no failure. It holds no job up; what it throws is logged, and one that takes longer than 5 seconds is given up. It does not
   * hear of jobs that it starts by the client itself, or an alert that fails would go on for ever. Default: nobody.
   */
  readonly onJobFailure?: ((failure: JobFailure) => Promise<void> | void) | undefined
  /** Where to log: a function, or nowhere. A job that fails is logged once. Default: the console. */
  readonly log?: ((entry: LogEntry) => void) | false | undefined
}

/** How a client is: of its models, its jobs, and all together. */
export interface ClientHealth {
  /** From 100, all is well, to 0. */
  readonly score: number
  readonly jobs: ModelsHealth["jobs"]
  readonly models: Readonly<Record<string, { readonly score: number; readonly policies: ModelsHealth["policies"] }>>
}

/** How long to wait for jobs before the client is at rest. */
export interface DrainOptions {
  /** How long running jobs and calls may go on before they are ended. Default 30 seconds. */
  readonly deadline?: Time | undefined
  /** How long to wait then for those that end. Default 1 second. */
  readonly interruptLimit?: Time | undefined
}

/** What to do on signals. */
export interface SignalOptions extends DrainOptions {
  /** Default: `SIGTERM` and `SIGINT`. */
  readonly signals?: ReadonlyArray<"SIGTERM" | "SIGINT" | "SIGHUP"> | undefined
  /**
   * Hears what became of each job, before the process ends, which waits for the promise it may give. What it throws is logged.
   * Default: nobody.
   */
  readonly onDrained?: ((report: EndReport) => Promise<void> | void) | undefined
}
