/**
 * Says at the end of a batch run what came of it.
 */
import * as Counts from "./Counts.ts"
import { clock, group } from "./ProgressBar.ts"
import * as Shown from "./Shown.ts"

/** How a run ended, as plain data. */
export interface Summary {
  readonly answered: number
  /** Answered by an earlier run. */
  readonly skipped: number
  readonly failed: number
  /** Failures by the tag of their reason. */
  readonly failedBy: Readonly<Record<string, number>>
  /** Without an answer when the run was stopped, as far as it had read or counted the input; the next run does them. */
  readonly unfinished: number
  /** Requests sent, retries included. */
  readonly sent: number
  readonly retried: number
  /** Failed attempts of requests that were answered in the end, by what happened. */
  readonly survived: Readonly<Record<string, number>>
  readonly inputTokens: number
  readonly outputTokens: number
  /** What the answers cost, where prices were given; of answers whose model has no price nothing is in it. */
  readonly cost: number | undefined
  /** A model of the run that the prices do not have. */
  readonly unpriced: string | undefined
  readonly elapsedMillis: number
  readonly stopped: boolean
}

export const make = (counts: Counts.Counts, elapsedMillis: number, stopped: boolean): Summary => {
  const failed = Counts.sum(counts.failed)
  const { answered, inputTokens, outputTokens, read, retried, sent, skipped, total } = counts
  const expected = stopped || counts.left > 0 ? Math.max(read, (total ?? 0) - skipped) : read
  return {
    answered,
    skipped,
    failed,
    failedBy: Object.fromEntries(counts.failed),
    unfinished: expected - answered - failed,
    sent,
    retried,
    survived: Object.fromEntries(counts.survived),
    inputTokens,
    outputTokens,
    // Nothing is known where no answer had a price.
    cost: counts.unpriced !== undefined && counts.cost === 0 ? undefined : counts.cost,
    unpriced: counts.unpriced,
    elapsedMillis,
    stopped
  }
}

/** Where the run wrote to, for the summary's last lines. */
export interface Files {
  readonly output: string
  readonly errors: string
}

/** Writes the summary for people: one fact a line. */
export const render = (summary: Summary, files: Files): ReadonlyArray<string> => {
  const { answered, elapsedMillis, failed, failedBy, inputTokens, outputTokens } = summary
  const { retried, sent, skipped, survived, unfinished } = summary
  const seconds = elapsedMillis / 1000
  const perAnswer = answered === 0 ? "" : `, ${(sent / answered).toFixed(2)} per answer`
  const speed = answered === 0 ? "" : ` (${(answered / seconds).toFixed(1)} a second)`
  return [
    fact("answered", `${group(answered)} in ${took(elapsedMillis)}${speed}`),
    ...(skipped === 0 ? [] : [fact("skipped", `${group(skipped)}, answered before`)]),
    ...(failed === 0 ? [] : [fact("failed", `${group(failed)}: ${kinds(failedBy)}`)]),
    ...(unfinished === 0 ? [] : [fact("unfinished", group(unfinished))]),
    fact("sent", `${counted(sent, "request")}, ${group(retried)} of them retries${perAnswer}`),
    ...(Object.keys(survived).length === 0 ? [] : [fact("survived", kinds(survived))]),
    fact("tokens", `${group(inputTokens)} in, ${group(outputTokens)} out`),
    ...costOf(summary),
    fact("answers", Shown.text(files.output)),
    ...(failed === 0 ? [] : [fact("errors", Shown.text(files.errors))])
  ]
}

const costOf = ({ cost, unpriced }: Summary): ReadonlyArray<string> => {
  if (unpriced === undefined) return cost === undefined ? [] : [fact("cost", money(cost))]
  const because = `the prices do not have ${Shown.short(unpriced, 100)}`
  return [fact("cost", cost === undefined ? `not known: ${because}` : `at least ${money(cost)}: ${because}`)]
}

/** An amount of money: small ones with more digits. */
export const money = (amount: number): string => amount.toFixed(amount < 0.1 ? 6 : amount < 10 ? 4 : 2)

/** A number with its noun: `1 request`, `2,000 requests`. */
export const counted = (count: number, noun: string): string => `${group(count)} ${noun}${count === 1 ? "" : "s"}`

const took = (millis: number): string => (millis < 60_000 ? `${(millis / 1000).toFixed(1)} s` : clock(millis))

/** A fact on a line of its own. */
export const fact = (name: string, value: string): string => `${name.padEnd(12)}${value}`

const kinds = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .toSorted(([, one], [, other]) => other - one)
    .map(([kind, count]) => `${group(count)} × ${kind}`)
    .join(", ")
