/**
 * Has a process come to rest on a signal before it ends by it.
 */
import * as OptionCheck from "../../core/OptionCheck.ts"
import type { SignalOptions } from "../ClientOptions.ts"
import type { EndReport } from "../Job.ts"

/** What holds for the options that are not given. */
const defaults = { signals: ["SIGTERM", "SIGINT"] } as const

/**
 * Brings a client to rest on the first of the signals, and then lets the process end by it. Further ones end the process at once.
 * Gives a function that takes it back.
 */
export const listen = (
  options: SignalOptions,
  drain: (limits: Pick<SignalOptions, "deadline" | "interruptLimit">) => Promise<EndReport>,
  close: () => Promise<void>
): (() => void) => {
  check.fields(options, { signals: true, onDrained: true, deadline: true, interruptLimit: true })
  const { onDrained, signals = defaults.signals, ...limits } = options
  check.list("signals", signals)
  for (const signal of signals) check.oneOf("signals", signal, ["SIGTERM", "SIGINT", "SIGHUP"])
  if (onDrained !== undefined) check.callback("onDrained", onDrained)
  for (const name of ["deadline", "interruptLimit"] as const) {
    if (limits[name] !== undefined) check.millis(name, limits[name], { atLeast: 0, endless: true })
  }
  const remove = () => {
    for (const signal of signals) process.removeListener(signal, end)
  }
  const end = (signal: NodeJS.Signals) => {
    remove()
    void drain(limits)
      .then((report) => onDrained?.(report))
      // The process ends in any case; why it could not come to rest is said by the log.
      .catch(() => {})
      .then(close)
      .finally(() => process.kill(process.pid, signal))
  }
  for (const signal of signals) process.on(signal, end)
  return remove
}

const check = OptionCheck.of("Client.closeOnSignals")
