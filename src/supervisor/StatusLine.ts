/**
 * Writes a supervisor's health in one line, for terminals and logs.
 */
import { Duration } from "effect"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as SafeText from "../core/SafeText.ts"
import type { Health } from "./operations/Health.ts"

/**
 * Renders what matters: how much runs and waits, what the last minute brought, what is wrong. Cut to `width` characters
 * when one is given.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { StatusLine, Supervisor } from "holdfast/supervisor"
 *
 * const line = Effect.map(Supervisor.health, (health) => StatusLine.render(health))
 * await Effect.runPromise(Effect.provide(line, Supervisor.layer())) // => "jobs 0/50 | waiting 0 | 0/min, 0% failed | health 100"
 * ```
 */
export const render = (health: Health, options?: { readonly width?: number | undefined }): string => {
  if (options !== undefined) check.fields(options, { width: true })
  const { failed, succeeded } = health.lastMinute
  const line = [
    ...(health.accepting ? [] : ["draining"]),
    `jobs ${health.running}/${health.concurrency}`,
    `waiting ${health.waiting}${health.oldestWaitingMillis === undefined ? "" : ` (${brief(health.oldestWaitingMillis)})`}`,
    ...(health.calls.running > 0 ? [`calls ${health.calls.running}`] : []),
    `${failed + succeeded}/min, ${percent(health.errorRatio)} failed`,
    ...health.stuck
      .slice(0, 1)
      .map(({ forMillis, name }) => `stuck ${SafeText.inLine(name)} ${brief(forMillis)}${more(health.stuck)}`),
    ...health.failingPeriodic
      .slice(0, 1)
      .map(({ inARow, name }) => `failing ${SafeText.inLine(name)} ×${inARow}${more(health.failingPeriodic)}`),
    ...(health.eventLoopLagMillis >= 100 ? [`lag ${brief(health.eventLoopLagMillis)}`] : []),
    `health ${health.score}`
  ].join(" | ")
  const width = check.whole("width", options?.width ?? line.length, 0)
  return line.length <= width ? line : width < 1 ? "" : `${line.slice(0, width - 1)}…`
}

const check = OptionCheck.of("StatusLine.render")

const more = (all: ReadonlyArray<unknown>): string => (all.length > 1 ? ` +${all.length - 1}` : "")

const percent = (ratio: number): string => `${Math.round(ratio * 100)}%`

const brief = (millis: number): string =>
  millis < 1000
    ? `${Math.round(millis)}ms`
    : millis < 60_000
      ? `${(millis / 1000).toFixed(1)}s`
      : Duration.format(Duration.seconds(Math.round(millis / 1000)))
