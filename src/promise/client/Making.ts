/**
 * Reads the options of a client, and puts together what it runs on.
 */
import { Cause, Layer, Logger, Predicate, References } from "effect"
import type { ModelProvider, Policy } from "../../core/call/ModelProvider.ts"
import * as OptionCheck from "../../core/OptionCheck.ts"
import * as SafeText from "../../core/SafeText.ts"
import * as Pipeline from "../../policy/Pipeline.ts"
import * as Job from "../../supervisor/Job.ts"
import { JobError } from "../../supervisor/JobError.ts"
import * as Supervisor from "../../supervisor/Supervisor.ts"
import type { Hooks as CallHooks } from "../Call.ts"
import type { ClientOptions, JobLimits, LogEntry, ModelChoice } from "../ClientOptions.ts"
import * as CallSettings from "./CallSettings.ts"
import * as Failures from "./Failures.ts"
import * as Hooks from "./Hooks.ts"
import * as JobViews from "./JobViews.ts"
import * as Models from "./Models.ts"
import type { Services } from "./Runner.ts"
import * as WholeTime from "./WholeTime.ts"

/** What a client is made of. */
export interface Made {
  readonly layer: Layer.Layer<Services>
  readonly settings: CallSettings.ClientSettings
}

/** Throws a `RangeError` that names the option which makes no sense. */
export const read = (options: ClientOptions): Made => {
  check.fields(options, fields)
  const { jobs = {}, log, models, policies, timeout = CallSettings.defaults.timeout } = options
  if (models !== undefined) check.record("models", models)
  if (options.apiKey !== undefined) check.label("apiKey", options.apiKey)
  if (options.baseUrl !== undefined && !isAddress(options.baseUrl)) {
    check.reject("baseUrl", "a http or https address", options.baseUrl)
  }
  if (policies !== undefined) check.list("policies", policies)
  if (policies !== undefined && (options.pipeline !== undefined || options.fallback !== undefined)) {
    throw new RangeError("Client option policies takes the place of pipeline and fallback: give one or the other")
  }
  if (log !== undefined && log !== false) check.callback("log", log)
  check.fields(jobs, limits, "jobs")
  const hooks: CallHooks = CallSettings.checkHooks(options, check)
  const provider = (name: string, choice: ModelChoice): ModelProvider =>
    Hooks.heard(Models.provider(name, choice, options, check))
  const providers = new Map<string, ModelProvider>()
  if (options.model !== undefined) providers.set("model", provider("model", options.model))
  for (const [name, choice] of Object.entries(models ?? {})) {
    if (providers.has(name)) check.reject("models", "names other than model, beside the option model", name)
    providers.set(name, provider(`models.${name}`, choice))
  }
  if (options.onJobFailure !== undefined) check.callback("onJobFailure", options.onJobFailure)
  const supervisor = Supervisor.layer({ ids: "random", ...jobs, onFailure: onFailureOf(options) })
  const layer = Models.layer(providers, policiesOf(options, provider)).pipe(Layer.provideMerge(supervisor))
  return {
    layer: log === undefined ? layer : Layer.provideMerge(layer, Logger.layer(log === false ? [] : [logger(log)])),
    settings: {
      models: Array.from(providers.keys()),
      hooks,
      timeoutMillis: CallSettings.millisOf("timeout", timeout, check)
    }
  }
}

const onFailureOf = ({ onJobFailure }: ClientOptions): Supervisor.Options<Supervisor.Supervisor>["onFailure"] =>
  onJobFailure === undefined
    ? undefined
    : ({ cause, job }) =>
        Job.promise(() =>
          onJobFailure({ job: JobViews.status(job), error: Failures.ofCause(withoutCancellation(cause), nowhere) })
        )

// A cancelled job is reported for what failed beside that.
const withoutCancellation = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> => {
  const isCancellation = (reason: Cause.Reason<unknown>) =>
    Cause.isFailReason(reason) && reason.error instanceof JobError && reason.error.reason._tag === "Cancelled"
  const others = cause.reasons.filter((reason) => !isCancellation(reason))
  return others.some((reason) => !Cause.isInterruptReason(reason)) ? Cause.fromReasons(others) : cause
}

/** A failure that nobody waits for has no caller to show. */
const nowhere: Failures.Frames = {}

const policiesOf = (
  { fallback = [], pipeline, policies }: ClientOptions,
  provider: (name: string, choice: ModelChoice) => ModelProvider
): ReadonlyArray<Policy> => {
  if (policies !== undefined) return [WholeTime.policy, ...policies]
  check.list("fallback", fallback)
  if (pipeline !== undefined) {
    check.fields(pipeline, places, "pipeline")
  }
  const targets = fallback.map((choice) => provider("fallback", choice))
  return Pipeline.standard({ ...pipeline, timeout: WholeTime.policy, fallback: targets.length === 0 ? false : targets })
}

const isAddress = (given: string | URL): boolean =>
  (typeof given === "string" || given instanceof URL) && /^https?:$/.test(URL.parse(String(given))?.protocol ?? "")

const logger = (log: (entry: LogEntry) => void) =>
  Logger.make(({ cause, fiber, logLevel, message }) => {
    const said = (Array.isArray(message) ? message : [message]).map(written).join(" ")
    const why = cause.reasons.length === 0 ? "" : `: ${written(cause)}`
    const { jobId: id, jobName: name } = fiber.getRef(References.CurrentLogAnnotations)
    const job = Predicate.isString(id) && Predicate.isString(name) ? { job: { id, name } } : {}
    log({ level: levels[logLevel as keyof typeof levels] ?? "info", message: said + why, ...job })
  })

const written = (value: unknown): string => (Cause.isCause(value) ? SafeText.ofCause(value) : SafeText.of(value))

const levels = { Trace: "debug", Debug: "debug", Info: "info", Warn: "warn", Error: "error", Fatal: "error" } as const

const check = OptionCheck.of("Client")

const limits: OptionCheck.Fields<JobLimits> = {
  concurrency: true,
  keyConcurrency: true,
  maxPending: true,
  timeout: true,
  retain: true,
  retainFor: true,
  retainBytes: true,
  eventHistory: true,
  stuckAfter: true,
  ids: true
}

const places: OptionCheck.Fields<NonNullable<ClientOptions["pipeline"]>> = {
  degrade: true,
  retryBudget: true,
  cache: true,
  singleFlight: true,
  repair: true,
  race: true,
  circuitBreaker: true,
  retry: true,
  hedge: true,
  spend: true,
  tenantLimit: true,
  bulkhead: true,
  rateLimit: true,
  attempt: true
}

const fields: OptionCheck.Fields<ClientOptions> = {
  model: true,
  models: true,
  fallback: true,
  apiKey: true,
  baseUrl: true,
  timeout: true,
  pipeline: true,
  policies: true,
  jobs: true,
  log: true,
  onJobFailure: true,
  onFinish: true,
  onRetry: true,
  onFallback: true
}
