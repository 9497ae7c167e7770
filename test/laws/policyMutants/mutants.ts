/**
 * Deliberate faults in policies, each with the promise it breaks: what the laws must catch.
 */
import type { Mutant } from "../mutants/mutants.ts"

export interface PolicyMutant extends Mutant {
  /** Kinds of policies that must be in a stack for it to show. */
  readonly kinds: ReadonlyArray<string>
}

export const mutants: ReadonlyArray<PolicyMutant> = [
  {
    fault: "a call is sent once more, to warm the connection up",
    breaks: "sentOnceAndUnchanged",
    kinds: ["Retry"],
    file: "policy/Retry.ts",
    search: "return Effect.andThen(RetryBudget.count(key), attempt(self, 0))",
    replace: "return Effect.andThen(Effect.exit(self), attempt(self, 0))"
  },
  {
    fault: "a stream is passed on without its frame",
    breaks: "sentOnceAndUnchanged",
    kinds: ["AdaptiveLimit"],
    file: "policy/AdaptiveLimit.ts",
    search: "return Stream.mapArray(next.streamText(request), (parts) => {",
    replace: `return Stream.mapArray(Stream.filter(next.streamText(request), (part) => part.type !== "response-metadata"), (parts) => {`
  },
  {
    fault: "the last one to leave a shared request lets it go on",
    breaks: "interruptionLeavesNothing",
    kinds: ["SingleFlight"],
    file: "policy/single-flight/JoinedRun.ts",
    search: "return this.run === undefined ? Effect.void : Fiber.interrupt(this.run)",
    replace: "return Effect.void"
  },
  {
    fault: "attempts that lost are ended in the background",
    breaks: "interruptionLeavesNothing",
    kinds: ["Race"],
    file: "policy/racing/FirstSuccess.ts",
    search: "(scope) => Scope.close(scope, Exit.void)",
    replace: "(scope) => Effect.asVoid(Effect.forkDetach(Effect.delay(Scope.close(scope, Exit.void), 1)))"
  },
  {
    fault: "one attempt more than all policies allow together",
    breaks: "attemptsAreBounded",
    kinds: ["Retry"],
    file: "policy/RetryBudget.ts",
    search: "if (this.taken >= this.granted ||",
    replace: "if (this.taken > this.granted ||"
  },
  {
    fault: "hedges do not draw on the budget",
    breaks: "attemptsAreBounded",
    kinds: ["Hedge.afterDelay"],
    file: "policy/Hedge.ts",
    search: `      if (!(yield* RetryBudget.take(budget))) return "budget"\n`,
    replace: ""
  },
  {
    fault: "retries are granted without a look at the share",
    breaks: "attemptsAreBounded",
    kinds: ["RetryBudget"],
    file: "policy/RetryBudget.ts",
    search: "(key !== undefined && this.share?.take(key, now) === false)",
    replace: "(key !== undefined && this.share === null)"
  },
  {
    fault: "callers who failed together come back together",
    breaks: "neverTooEarly",
    kinds: ["Retry"],
    file: "policy/Retry.ts",
    search: "const wait = atLeast + draw * Math.min",
    replace: "const wait = atLeast + 0.5 * Math.min"
  },
  {
    fault: "the time a provider asked to wait for is forgotten when another one fails later",
    breaks: "neverTooEarly",
    kinds: ["Retry", "Fallback"],
    file: "core/call/Refusals.ts",
    search: "if (told === undefined || now >= told.untilMillis) return undefined",
    replace: "if (told?.untilMillis !== Infinity) return undefined"
  },
  {
    fault: "a provider that refused the request for good is asked again",
    breaks: "neverTooEarly",
    kinds: ["Retry", "Hedge.afterDelay"],
    file: "core/call/Refusals.ts",
    search: "if (told.untilMillis === Infinity) return { error: told.error, forMillis: undefined }",
    replace: "if (told.untilMillis === Infinity) return undefined"
  },
  {
    fault: "a rate limiter lets calls through after half of the time the provider asked for",
    breaks: "neverTooEarly",
    kinds: ["RateLimit"],
    file: "policy/rate-limit/State.ts",
    search: "const asked = Math.max(retryAfterMillis ?? 0,",
    replace: "const asked = Math.max((retryAfterMillis ?? 0) / 2,"
  },
  {
    fault: "the tokens of a call are not taken from what a limit allows",
    breaks: "neverTooEarly",
    kinds: ["RateLimit.of"],
    file: "policy/rate-limit/State.ts",
    search: "Bucket.take(bucket, need[bucket.dimension], now)",
    replace: `Bucket.take(bucket, bucket.dimension === "requests" ? need.requests : 0, now)`
  },
  {
    fault: "a call takes a place in the store of several processes, and does not wait for it",
    breaks: "neverTooEarly",
    kinds: ["RateLimit.shared"],
    file: "policy/RateLimitShared.ts",
    search: "Effect.andThen(Effect.sleep(millis), resumed)",
    replace: "resumed"
  },
  {
    fault: "a stream begins anew without a word",
    breaks: "oneWellFormedStream",
    kinds: ["Fallback"],
    file: "policy/Fallback.ts",
    search: "[...tracker.close(), restartMark(mark)]",
    replace: "[...tracker.close()]"
  },
  {
    fault: "a stream that goes on says again what was said",
    breaks: "oneWellFormedStream",
    kinds: ["Fallback"],
    file: "policy/fallback/ContinuedStream.ts",
    search: "let said: string | undefined = before",
    replace: "let said: string | undefined = undefined"
  },
  {
    fault: "the blocks of a broken stream stay open",
    breaks: "oneWellFormedStream",
    kinds: ["Fallback"],
    file: "policy/fallback/ContinuedStream.ts",
    search: "return Array.from(this.open, ([id, type]) => ({ type, id })).filter(({ id }) => id !== except)",
    replace: "return except === undefined ? [] : []"
  },
  {
    fault: "a time limit gives what is inside more time than what is outside has",
    breaks: "deadlineShrinks",
    kinds: ["Timeout.overall"],
    file: "core/call/Deadline.ts",
    search: "outer === undefined ? at : Math.min(outer, at)",
    replace: "outer === undefined ? at : Math.max(outer, at)"
  },
  {
    fault: "empty deltas count as content",
    breaks: "deadlineShrinks",
    kinds: ["Timeout.perAttempt"],
    file: "policy/Timeout.ts",
    search: "      if (!Content.isContent(part)) continue\n",
    replace: ""
  },
  {
    fault: "a stream may be as slow as it likes once it has begun",
    breaks: "deadlineShrinks",
    kinds: ["Timeout.perAttempt"],
    file: "policy/Timeout.ts",
    search: "if (tokensPerSecond > 0) {",
    replace: "if (tokensPerSecond > Infinity) {"
  },
  {
    fault: "a race asks others when the call's time is over",
    breaks: "deadlineShrinks",
    kinds: ["Race"],
    file: "policy/Race.ts",
    search: "left > 0 ? RetryBudget.take()",
    replace: "left >= 0 ? RetryBudget.take()"
  },
  {
    fault: "what is for one task is given to another, by way of the store",
    breaks: "cachesOnlyWholeAnswers",
    kinds: ["ResponseCache.persisted"],
    file: "core/call/RequestKey.ts",
    search: "tenant ?? null, task ?? null",
    replace: "tenant ?? null, task === null"
  },
  {
    fault: "tenants share an answer",
    breaks: "cachesOnlyWholeAnswers",
    kinds: ["SingleFlight"],
    file: "core/call/RequestKey.ts",
    search: "[name, model, tenant ?? null, task ?? null, settings]",
    replace: "[name, model, task ?? null, settings]"
  },
  {
    fault: "a piece of a stream is not kept",
    breaks: "cachesOnlyWholeAnswers",
    kinds: ["ResponseCache"],
    file: "policy/response-cache/Entry.ts",
    search: "chunks: answer.chunks.map((chunk) => chunk.map(withoutTraces))",
    replace: "chunks: answer.chunks.toSpliced(2, 1).map((chunk) => chunk.map(withoutTraces))"
  },
  {
    fault: "the permit of a call that failed is not given back",
    breaks: "stateIsBounded",
    kinds: ["Bulkhead"],
    file: "policy/gate/Gate.ts",
    search: "      this.inFlight--\n",
    replace: "      if (Exit.isSuccess(exit)) this.inFlight--\n"
  },
  {
    fault: "a caller that leaves the line is still counted there",
    breaks: "stateIsBounded",
    kinds: ["Bulkhead"],
    file: "policy/gate/Gate.ts",
    search: `if (visit.state === "waiting") this.withdraw(visit)`,
    replace: `if (visit.state === "waiting") visit.state = "gone"`
  },
  {
    fault: "circuits of tenants are never forgotten",
    breaks: "stateIsBounded",
    kinds: ["CircuitBreaker"],
    file: "policy/CircuitBreaker.ts",
    search: "if (known.size <= maxKeys) break",
    replace: "if (known.size <= maxKeys || oldest !== undefined) break"
  },
  {
    fault: "a probe that the store granted to somebody who has left stays taken",
    breaks: "stateIsBounded",
    kinds: ["CircuitBreaker.shared"],
    file: "policy/CircuitKeeper.ts",
    search: "Exit.isSuccess(answer) ? unused(answer.value) : Effect.void",
    replace: "Exit.isSuccess(answer) ? Effect.void : Effect.void"
  },
  {
    fault: "a call waits for ever for a store that does not answer",
    breaks: "everyCallEnds",
    kinds: ["ResponseCache.persisted"],
    file: "policy/CacheStore.ts",
    search: "                resume(Effect.undefined)\n                asked.interruptUnsafe()\n",
    replace: ""
  },
  {
    fault: "a reader that comes to wait just after a piece came waits for the next one",
    breaks: "everyCallEnds",
    kinds: ["SingleFlight"],
    file: "policy/single-flight/JoinedRun.ts",
    search: "    // Something may have come since this was decided on.\n    this.wake()\n",
    replace: ""
  },
  {
    fault: "who is let in is not told",
    breaks: "everyCallEnds",
    kinds: ["AdaptiveLimit"],
    file: "policy/gate/Gate.ts",
    search: "      visit.wake?.()\n",
    replace: ""
  }
]
