/**
 * Draws how far a batch run is, as text: a pure function of the numbers and the width.
 */
import { StatusLine, type Supervisor } from "../../../supervisor/index.ts"
import * as Counts from "./Counts.ts"

/** The numbers of one moment. */
export interface Snapshot {
  /** Requests in the input, or as many of them as this run may do; as far as known. */
  readonly total: number | undefined
  readonly answered: number
  readonly skipped: number
  readonly failed: number
  readonly retried: number
  readonly inFlight: number
  readonly tokens: number
  readonly elapsedMillis: number
  readonly stopping: boolean
  /** How the run's supervisor is, if that is known. */
  readonly health?: Supervisor.Health | undefined
}

export const snapshot = (counts: Counts.Counts, elapsedMillis: number, stopping: boolean): Snapshot => ({
  total: counts.limit === undefined ? counts.total : Math.min(counts.total ?? Infinity, counts.skipped + counts.limit),
  answered: counts.answered,
  skipped: counts.skipped,
  failed: Counts.sum(counts.failed),
  retried: counts.retried,
  inFlight: counts.inFlight,
  tokens: counts.inputTokens + counts.outputTokens,
  elapsedMillis,
  stopping,
  health: counts.health
})

/**
 * Draws lines of at most `width` columns: the bar, the details, and the supervisor's status line once there is one.
 *
 * **Example**
 *
 * ```ts run
 * import { ProgressBar } from "holdfast/cli"
 *
 * const [bar] = ProgressBar.render(
 *   { total: 200, answered: 90, skipped: 10, failed: 0, retried: 3, inFlight: 50, tokens: 9_000, elapsedMillis: 9_000, stopping: false },
 *   60
 * )
 * bar // => "██████████████░░░░░░░░░░░░░░░  50% 100/200  10.0/s  ETA 0:10"
 * ```
 */
export const render = (
  now: Snapshot,
  width: number
): readonly [bar: string, details: string, ...status: ReadonlyArray<string>] => {
  const done = ended(now)
  const known = now.total !== undefined && now.total > 0
  const share = known ? Math.min(1, done / (now.total ?? 1)) : undefined
  const figures = [
    ...(share === undefined ? [] : [`${Math.floor(share * 100)}%`.padStart(4)]),
    ` ${group(done)}${known ? `/${group(now.total ?? 0)}` : ""}`,
    `  ${rate(now)}`,
    now.stopping ? "  stopping" : `  ETA ${eta(now)}`
  ].join("")
  const cells = Math.max(0, Math.min(40, width - figures.length - 1))
  const filled = Math.floor((share ?? 0) * cells)
  const bar = cells < 5 ? figures.trimStart() : `${"█".repeat(filled)}${"░".repeat(cells - filled)} ${figures}`
  const status = now.health === undefined ? [] : [StatusLine.render(now.health, { width })]
  return [bar.slice(0, width), fit(detailsOf(now), width), ...status]
}

/** The same as one plain line, for a log. */
export const renderLine = (now: Snapshot): string => {
  const total = now.total === undefined ? "" : ` of ${group(now.total)}`
  return `${group(ended(now))}${total} done, ${detailsOf(now).join(", ")}, ${rate(now)}, ETA ${eta(now)}`
}

/** Requests that need no more work. */
export const ended = (now: Snapshot): number => now.answered + now.skipped + now.failed

/** Writes a number with its thousands apart: `12,345`. */
export const group = (value: number): string => String(Math.round(value)).replaceAll(/\B(?=(\d{3})+$)/g, ",")

/** Writes a time as `m:ss`, or `h:mm:ss` from one hour. */
export const clock = (millis: number): string => {
  const seconds = Math.ceil(millis / 1000)
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const tail = String(seconds % 60).padStart(2, "0")
  return hours === 0 ? `${minutes}:${tail}` : `${hours}:${String(minutes).padStart(2, "0")}:${tail}`
}

const detailsOf = (now: Snapshot): ReadonlyArray<string> => [
  `${group(now.failed)} failed`,
  `${group(now.retried)} retried`,
  `${group(now.inFlight)} in flight`,
  `${compact(now.tokens)} tokens`,
  ...(now.skipped === 0 ? [] : [`${group(now.skipped)} skipped`])
]

// Answers and failures of this run for each second of it; what was skipped took no time.
const perSecond = (now: Snapshot): number =>
  now.elapsedMillis <= 0 ? 0 : ((now.answered + now.failed) * 1000) / now.elapsedMillis

const rate = (now: Snapshot): string => {
  const value = perSecond(now)
  return `${value < 100 ? value.toFixed(1) : group(value)}/s`
}

const eta = (now: Snapshot): string => {
  const value = perSecond(now)
  return now.total === undefined || value === 0 ? "-:--" : clock((Math.max(0, now.total - ended(now)) / value) * 1000)
}

const compact = (value: number): string => {
  if (value < 1_000) return String(value)
  return value < 1_000_000 ? `${(value / 1_000).toFixed(1)}k` : `${(value / 1_000_000).toFixed(1)}M`
}

/** Keeps as many of the parts, from the left, as the width has room for. */
const fit = (parts: ReadonlyArray<string>, width: number): string => {
  let line = ""
  for (const part of parts) {
    const longer = line === "" ? part : `${line} · ${part}`
    if (longer.length > width) break
    line = longer
  }
  return line
}
