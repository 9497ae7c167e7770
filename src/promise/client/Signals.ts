/**
 * Has the clients of a process come to rest on a signal before it ends by it.
 */
import { Effect } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"
import type { SignalOptions } from "../ClientOptions.ts"
import type { EndReport } from "../Job.ts"

/** What holds for the options that are not given. */
const defaults = { signals: ["SIGTERM", "SIGINT"], interruptLimit: "1 second" } as const

/** What a client does on a signal. */
export interface Resting {
  readonly drain: (limits: Pick<SignalOptions, "deadline" | "interruptLimit">) => Promise<EndReport>
  readonly close: () => Promise<void>
  /** Says that a function of the caller's has thrown. */
  readonly warn: (text: string, error: unknown) => Promise<unknown>
}

/**
 * Brings a client to rest on the first of the signals. When all clients that listen for it have come to rest, the process ends by
 * it, unless somebody else listens for it too. Gives a function that takes it back.
 */
export const listen = (options: SignalOptions, resting: Resting): (() => void) => {
  check.fields(options, { signals: true, onDrained: true, deadline: true, interruptLimit: true })
  const { onDrained, signals = defaults.signals, ...limits } = options
  check.list("signals", signals)
  for (const signal of signals) check.oneOf("signals", signal, ["SIGTERM", "SIGINT", "SIGHUP"])
  if (onDrained !== undefined) check.callback("onDrained", onDrained)
  const endless = { atLeast: 0, endless: true }
  if (limits.deadline !== undefined) check.millis("deadline", limits.deadline, endless)
  const interruptMillis = check.millis("interruptLimit", limits.interruptLimit ?? defaults.interruptLimit, endless)
  const comeToRest = async () => {
    // Why it could not come to rest is said by the log.
    const report = await resting.drain(limits).catch(() => undefined)
    try {
      if (report !== undefined) await onDrained?.(report)
    } catch (error) {
      await resting.warn("onDrained threw", error)
    }
    // A job that ignores its end keeps the client from closing, and shall not keep the process.
    await Effect.runPromise(Effect.timeoutOption(Effect.promise(resting.close), interruptMillis))
  }
  return add(new Set(signals), comeToRest)
}

type Signal = NonNullable<SignalOptions["signals"]>[number]

// Of all clients in the process, by signal: there is one end to wait for.
const listening = new Map<Signal, Set<() => Promise<void>>>()

const add = (signals: ReadonlySet<Signal>, comeToRest: () => Promise<void>): (() => void) => {
  for (const signal of signals) {
    const others = listening.get(signal)
    if (others !== undefined) others.add(comeToRest)
    else {
      listening.set(signal, new Set([comeToRest]))
      process.on(signal, onSignal)
    }
  }
  return () => {
    for (const signal of signals) {
      const all = listening.get(signal)
      all?.delete(comeToRest)
      if (all?.size === 0) stopListening(signal)
    }
  }
}

// A second signal finds nobody of ours, and ends the process at once.
const onSignal = (signal: Signal): void => {
  const clients = Array.from(listening.get(signal) ?? [])
  for (const [each, all] of Array.from(listening)) {
    for (const client of clients) all.delete(client)
    if (all.size === 0) stopListening(each)
  }
  // One that cannot come to rest, as it was closed meanwhile, ends none of the others' time.
  void Promise.allSettled(clients.map((comeToRest) => comeToRest())).finally(() => {
    // Somebody else who listens has heard it already, and says when the process ends.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal)
  })
}

const stopListening = (signal: Signal): void => {
  listening.delete(signal)
  process.removeListener(signal, onSignal)
}

const check = OptionCheck.of("Client.closeOnSignals")
