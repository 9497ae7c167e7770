/**
 * Checks that only files which have a reason to read the wall clock do. It steps when it is set, so every duration, limit,
 * order and age is measured by `src/core/Monotonic.ts`.
 */
import { type SourceFile, withoutComments } from "./architecture.ts"

/** Files, and folders ending in a slash, that may read the wall clock; and what for. */
export const mayReadWallClock: Readonly<Record<string, string>> = {
  "src/core/Monotonic.ts": "makes a clock that tells the monotonic time in place of the date",
  "src/core/call/CallTrail.ts": "dates of decisions",
  "src/core/call/RecordedAttempts.ts": "dates of attempts and decisions",
  "src/provider/provider-pool/PoolMembers.ts": "dates of decisions",
  "src/policy/SpendBudget.ts": "dates of decisions",
  "src/policy/response-cache/CachedCalls.ts": "dates of decisions, and of answers that others will read",
  "src/policy/response-cache/Tiers.ts": "the age of an answer that another process dated",
  "src/policy/response-cache/Snapshot.ts": "dates of answers in a file",
  "src/policy/spend-budget/WindowTime.ts": "windows begin at dates, as the bills of providers do",
  "src/policy/rate-limit/Limiter.ts": "dates in response headers, turned into durations where they are read",
  "src/supervisor/lifecycle/SupervisorTime.ts": "dates of jobs",
  "src/supervisor/operations/RoundTimes.ts": "cron",
  "src/durable/DurableJob.ts": "delays, which become dates in the store",
  "src/durable/durable-job/Handler.ts": "dates of failures, and of the next attempt",
  "src/durable/durable-job/Worker.ts": "when a job is due, by the date that the store has",
  "src/durable/store/Service.ts": "dates of jobs, which outlive the process, and when they are due",
  "src/testing/": "virtual clocks, and logs of requests with their dates"
}

const wallClock =
  /\b(?:currentTimeMillis|currentTimeMillisUnsafe|currentTimeNanos|currentTimeNanosUnsafe|Date\.now|new Date\(\))/

/** Says which files read the wall clock without a reason, and which reasons no file needs any longer. */
export const wallClockViolations = (files: ReadonlyArray<SourceFile>): ReadonlyArray<string> => {
  const reading = files.filter(({ source }) => wallClock.test(withoutComments(source))).map(({ path }) => path)
  const allowed = Object.keys(mayReadWallClock)
  const allows = (entry: string, path: string) => (entry.endsWith("/") ? path.startsWith(entry) : path === entry)
  return [
    ...reading
      .filter((path) => !allowed.some((entry) => allows(entry, path)))
      .map(
        (path) => `${path} reads the wall clock: measure by src/core/Monotonic.ts, or say in mayReadWallClock what for`
      ),
    ...allowed
      .filter((entry) => !reading.some((path) => allows(entry, path)))
      .map((entry) => `mayReadWallClock names ${entry}, which does not read it`)
  ]
}
