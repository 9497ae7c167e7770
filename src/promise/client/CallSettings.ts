/**
 * Reads the options of a call once, and checks them.
 */
import { Effect } from "effect"
import { Prompt } from "effect/ai"
import * as Caller from "../../core/call/Caller.ts"
import * as OptionCheck from "../../core/OptionCheck.ts"
import * as SafeText from "../../core/SafeText.ts"
import * as ChatWire from "../../provider/ChatWire.ts"
import type { Hooks as CallHooks, Prompt as Asked, Schema, Time, ToolOptions } from "../Call.ts"
import * as Hooks from "./Hooks.ts"
import * as ToolRuns from "./ToolRuns.ts"

/** What holds for the options that are not given. */
export const defaults = { timeout: "2 minutes", maxSteps: 8 } as const

/** What a client says for all of its calls. */
export interface ClientSettings {
  readonly models: ReadonlyArray<string>
  readonly hooks: CallHooks
  readonly timeoutMillis: number
}

/** A call, ready to be made. */
export interface CallSettings {
  readonly model: string
  readonly prompt: Prompt.Prompt
  readonly signal: AbortSignal | undefined
  readonly timeoutMillis: number
  readonly tenant: string | undefined
  readonly idempotencyKey: string | undefined
  readonly hooks: ReadonlyArray<CallHooks>
  readonly tools: ToolRuns.ToolRuns | undefined
  readonly maxSteps: number
  /** Tells what is inside whom the call is for, how it is to be answered, and who hears of it. */
  readonly within: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

type Options = ToolOptions<Readonly<Record<string, Schema>>>

/** Throws a `RangeError` that names the option which makes no sense. */
export const read = (asked: Asked, options: Options, client: ClientSettings): CallSettings => {
  check.fields(options, fields)
  const { idempotencyKey, maxOutputTokens, maxSteps = defaults.maxSteps, model = client.models[0] } = options
  const { priority, signal, system, temperature, tenant, timeout, tools } = options
  if (model === undefined) throw new RangeError("the client has no model: give Client.make the option model or models")
  check.oneOf("model", model, client.models)
  if (signal !== undefined) checkSignal(signal, check)
  if (idempotencyKey !== undefined) check.label("idempotencyKey", idempotencyKey, 1_000)
  if (system !== undefined) check.text("system", system)
  check.whole("maxSteps", maxSteps, 1)
  if (tools !== undefined) check.record("tools", tools)
  const hooks = [client.hooks, checkHooks(options, check)].filter(
    ({ onFallback, onFinish, onRetry }) => onFallback ?? onFinish ?? onRetry
  )
  const caller = Caller.as({ tenant, priority })
  const settings = ChatWire.withSettings({ maxOutputTokens, temperature })
  return {
    model,
    prompt: promptOf(asked, system),
    signal,
    timeoutMillis: timeout === undefined ? client.timeoutMillis : check.millis("timeout", timeout, { endless: true }),
    tenant,
    idempotencyKey,
    hooks,
    tools: tools === undefined || Object.keys(tools).length === 0 ? undefined : ToolRuns.make(tools),
    maxSteps,
    within: (effect) => settings(caller(Effect.provideService(effect, Hooks.Current, hooks)))
  }
}

export const checkSignal = (signal: AbortSignal, check: OptionCheck.OptionCheck): void => {
  if (!(signal instanceof AbortSignal)) check.reject("signal", "an AbortSignal", signal)
}

export const checkHooks = <H extends CallHooks>(hooks: H, check: OptionCheck.OptionCheck): H => {
  for (const name of ["onFallback", "onFinish", "onRetry"] as const) {
    if (hooks[name] !== undefined) check.callback(name, hooks[name])
  }
  return hooks
}

/** Milliseconds of a time. */
export const millisOf = (name: string, time: Time, check: OptionCheck.OptionCheck): number =>
  check.millis(name, time, { endless: true })

const promptOf = (asked: Asked, system: string | undefined): Prompt.Prompt => {
  if (typeof asked !== "string" && !Array.isArray(asked)) {
    throw new RangeError(`the prompt must be a text or a list of messages, got ${OptionCheck.unshown(asked)}`)
  }
  let prompt: Prompt.Prompt
  try {
    // Messages are what this reads, and are checked by it.
    prompt = Prompt.make(asked as Prompt.RawInput)
  } catch (error) {
    throw new RangeError(`the prompt must be a text or a list of messages: ${SafeText.of(error)}`, { cause: error })
  }
  return system === undefined
    ? prompt
    : Prompt.fromMessages([Prompt.makeMessage("system", { content: system }), ...prompt.content])
}

const check = OptionCheck.of("Client")

const fields: OptionCheck.Fields<Options> = {
  model: true,
  signal: true,
  timeout: true,
  tenant: true,
  priority: true,
  idempotencyKey: true,
  system: true,
  maxOutputTokens: true,
  temperature: true,
  tools: true,
  maxSteps: true,
  onFinish: true,
  onRetry: true,
  onFallback: true
}
