/**
 * Deliberate faults in policies, each with the promise it breaks: what the laws must catch.
 */
import type { Mutant } from "../mutants/mutants.ts"

export interface PolicyMutant extends Mutant {
  /** Kinds of policies that a stack is made of for it to show. */
  readonly kinds: ReadonlyArray<string>
  /** Options that they have, whatever else is drawn for them. */
  readonly with?: object
}

export const mutants: ReadonlyArray<PolicyMutant> = [
  {
    fault: "a call is sent once more, to warm the connection up",
    breaks: "sentOnceAndUnchanged",
    kinds: ["Retry"],
    file: "policy/Retry.ts",
    search: "return Effect.andThen(AttemptAllowance.count(key), attempt(self, 0))",
    replace: "return Effect.andThen(Effect.exit(self), attempt(self, 0))"
  },
  {
    fault: "callers who share an answer write into one another's",
    breaks: "oneWellFormedStream",
    kinds: ["SingleFlight"],
    file: "policy/single-flight/JoinedRun.ts",
    search: "return this.shared.isJoined ? Effect.succeed(settings.own(end.value)) : end",
    replace: "return end"
  },
  {
    fault: "callers who share a stream write into one another's",
    breaks: "oneWellFormedStream",
    kinds: ["SingleFlight"],
    file: "policy/single-flight/JoinedRun.ts",
    search: "return Effect.succeed(settings.own(next.value as A))",
    replace: "return Effect.succeed(next.value as A)"
  },
  {
    fault: "a caller writes into what the cache keeps",
    breaks: "oneWellFormedStream",
    kinds: ["ResponseCache"],
    file: "policy/response-cache/Entry.ts",
    search: "answer.parts.map(withoutTraces).map(PartCopy.of)",
    replace: "answer.parts.map(withoutTraces)"
  },
  {
    fault: "a caller writes into what the cache gives the next one",
    breaks: "oneWellFormedStream",
    kinds: ["ResponseCache"],
    file: "policy/response-cache/Entry.ts",
    search: "WholeParts.of(answer.chunks.flat())).map(PartCopy.of)",
    replace: "WholeParts.of(answer.chunks.flat())).slice()"
  },
  {
    fault: "the reader of a stream writes into what the cache keeps of it",
    breaks: "oneWellFormedStream",
    kinds: ["ResponseCache"],
    file: "policy/response-cache/CachedCalls.ts",
    search: "chunks.push(chunk.map(PartCopy.of))",
    replace: "chunks.push(chunk)"
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
    file: "core/call/AttemptAllowance.ts",
    search: "return this.taken < this.granted",
    replace: "return this.taken <= this.granted"
  },
  {
    fault: "hedges do not draw on the budget",
    breaks: "attemptsAreBounded",
    kinds: ["Hedge.afterDelay"],
    file: "policy/Hedge.ts",
    search: `      if (!(yield* AttemptAllowance.take(budget))) return "budget"\n`,
    replace: ""
  },
  {
    fault: "repairs do not draw on the budget",
    breaks: "attemptsAreBounded",
    kinds: ["RetryBudget", "Repair"],
    file: "policy/Repair.ts",
    search: `  else if (!(yield* AttemptAllowance.take(key))) why = "budget"\n`,
    replace: ""
  },
  {
    fault: "retries are granted without a look at the share",
    breaks: "attemptsAreBounded",
    kinds: ["RetryBudget", "Retry"],
    file: "core/call/AttemptAllowance.ts",
    search: "(key !== undefined && this.budget?.take(key, now) === false)",
    replace: "(key !== undefined && this.budget === null)"
  },
  {
    fault: "callers who failed together come back together",
    breaks: "neverTooEarly",
    kinds: ["Retry"],
    file: "policy/retry/Delay.ts",
    search: "const wait = atLeast + draw * Math.min",
    replace: "const wait = atLeast + 0.5 * Math.min"
  },
  {
    fault: "a retry that waits does not go by what another attempt is told meanwhile",
    breaks: "neverTooEarly",
    kinds: ["Hedge.afterDelay", "Retry"],
    file: "policy/Retry.ts",
    search: "if (told === undefined && waits > 0) return",
    replace: "if (waits > 0) return"
  },
  {
    fault: "what cannot succeed is tried again",
    breaks: "neverTooEarly",
    kinds: ["Retry"],
    file: "policy/retry/Delay.ts",
    search: `  if (!retryable) return "notRetryable"\n`,
    replace: ""
  },
  {
    fault: "tenants' limits are forgotten to make room",
    breaks: "neverTooEarly",
    kinds: ["RateLimit.of"],
    with: { perTenant: true, maxKeys: 2, requests: { limit: 1, window: 10_000 } },
    file: "core/window/RecentlyUsed.ts",
    search: "if (this.mayDrop(candidate)) this.delete(key)",
    replace: "this.delete(key)"
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
    search: "if (told === undefined || now >= told.untilMillis) return undefined",
    replace: "if (told === undefined || now >= told.untilMillis || told.untilMillis === Infinity) return undefined"
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
    with: { processes: 2, requests: { limit: 1, window: 10_000 } },
    file: "policy/rate-limit/SharedLimits.ts",
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
    file: "policy/timeout/AttemptClocks.ts",
    search: "      if (!Content.isContent(part)) continue\n",
    replace: ""
  },
  {
    fault: "a stream may be as slow as it likes once it has begun",
    breaks: "deadlineShrinks",
    kinds: ["Timeout.perAttempt"],
    file: "policy/timeout/AttemptClocks.ts",
    search: "if (tokensPerSecond > 0) {",
    replace: "if (tokensPerSecond > Infinity) {"
  },
  {
    fault: "a race asks others when the call's time is over",
    breaks: "deadlineShrinks",
    kinds: ["Race"],
    file: "policy/Race.ts",
    search: "left > 0 ? AttemptAllowance.take()",
    replace: "left >= 0 ? AttemptAllowance.take()"
  },
  {
    fault: "calls wait for what another process makes beyond their own time",
    breaks: "deadlineShrinks",
    kinds: ["Hedge.afterDelay", "ResponseCache.shared"],
    file: "policy/response-cache/Tiers.ts",
    search: "Math.min(this.settings.leaseMillis, (yield* Deadline.remainingMillis) / 2)",
    replace: "Math.min(this.settings.leaseMillis, (yield* Deadline.remainingMillis) * Infinity)"
  },
  {
    fault: "what a store answers to another key is believed",
    breaks: "cachesOnlyWholeAnswers",
    kinds: ["ResponseCache.shared"],
    with: { lies: 1 },
    file: "policy/response-cache/Store.ts",
    search: `Predicate.hasProperty(value, "key") && value.key === key`,
    replace: `Predicate.hasProperty(value, "key")`
  },
  {
    fault: "what is for one task is given to another, by way of the store",
    breaks: "cachesOnlyWholeAnswers",
    kinds: ["ResponseCache.shared"],
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
    search: `if (permit.state === "waiting") this.withdraw(permit)`,
    replace: `if (permit.state === "waiting") permit.state = "gone"`
  },
  {
    fault: "circuits of tenants are never forgotten",
    breaks: "stateIsBounded",
    kinds: ["CircuitBreaker"],
    with: { perTenant: true, maxKeys: 1 },
    file: "policy/CircuitBreaker.ts",
    search: "new KeptKeys<Circuit>(options.maxKeys ?? defaults.maxKeys, isClear)",
    replace: "new KeptKeys<Circuit>(Infinity, isClear)"
  },
  {
    fault: "a probe that the store granted to somebody who has left stays taken",
    breaks: "stateIsBounded",
    kinds: ["CircuitBreaker.shared"],
    with: { consecutive: 1, latency: 2 },
    file: "policy/circuit-breaker/CircuitStore.ts",
    search: "Exit.isSuccess(answer) ? unused(answer.value) : Effect.void",
    replace: "Exit.isSuccess(answer) ? Effect.void : Effect.void"
  },
  {
    fault: "fallbacks are asked past the limits of the pipeline",
    breaks: "limitsHoldEverywhere",
    kinds: ["Pipeline"],
    file: "policy/pipeline/Providers.ts",
    search: "provider: Effect.flatMap(asEffect(provider), limited), when",
    replace: "provider: asEffect(provider), when"
  },
  {
    fault: "each provider of the pipeline has a budget and tenants' limits for itself",
    breaks: "limitsHoldEverywhere",
    kinds: ["Pipeline"],
    file: "policy/pipeline/Providers.ts",
    search: "return Effect.map(make(chosen.options), (policy) => [policy])",
    replace: "return Effect.succeed([(next) => Effect.flatMap(make(chosen.options), (policy) => policy(next))])"
  },
  {
    fault: "a caller waits for as long as a damaged store says",
    breaks: "everyCallEnds",
    kinds: ["RateLimit.shared"],
    with: { lies: 1 },
    file: "policy/rate-limit/SharedLimits.ts",
    search: "left !== undefined && refillMillis(bucket, -left.level) <= longestDebtMillis(bucket, tokens)",
    replace: "left !== undefined && longestDebtMillis(bucket, tokens) > 0"
  },
  {
    fault: "a circuit of a damaged store ends its callers",
    breaks: "everyCallEnds",
    kinds: ["CircuitBreaker.shared"],
    with: { lies: 1 },
    file: "policy/circuit-breaker/StoredCircuit.ts",
    search: `to === "Open" && isUpTo(retryAfter, longestMillis) ?`,
    replace: `to === "Open" && (isUpTo(retryAfter, longestMillis) || Predicate.isNotNull(retryAfter)) ?`
  },
  {
    fault: "a call waits for ever for a store that does not answer",
    breaks: "everyCallEnds",
    kinds: ["ResponseCache.shared"],
    file: "policy/store/SharedStore.ts",
    search: "              resume(Effect.undefined)\n              asked.interruptUnsafe()\n",
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
    search: "      permit.wake?.()\n",
    replace: ""
  },
  {
    fault: "a line that is measured by the wall clock stands when that is set back",
    breaks: "everyCallEnds",
    kinds: ["RateLimit.of"],
    file: "policy/rate-limit/CallQueue.ts",
    search: "return Monotonic.millisUnsafe(this.clock)",
    replace: "return this.clock.currentTimeMillisUnsafe() + 0 * Monotonic.millisUnsafe(this.clock)"
  },
  {
    fault: "one call more is let through than are allowed",
    breaks: "asManyAtOnceAsAllowed",
    kinds: ["Bulkhead"],
    file: "policy/gate/Gate.ts",
    search: "const mayEnter = this.inFlight < this.allowed &&",
    replace: "const mayEnter = this.inFlight <= this.allowed &&"
  },
  {
    fault: "the last place is left empty",
    breaks: "asManyAtOnceAsAllowed",
    kinds: ["Bulkhead"],
    file: "policy/gate/Gate.ts",
    search: "const mayEnter = this.inFlight < this.allowed &&",
    replace: "const mayEnter = this.inFlight < Math.max(1, this.allowed - 1) &&"
  },
  {
    fault: "another provider is asked without the tools",
    breaks: "requestsArriveUnchanged",
    kinds: ["Fallback.to"],
    file: "policy/Fallback.ts",
    search: "  ...request,\n  previousResponseId: undefined,",
    replace: "  ...request,\n  tools: [],\n  previousResponseId: undefined,"
  },
  {
    fault: "a model that is to go on is told what was said, and not what was asked",
    breaks: "requestsArriveUnchanged",
    kinds: ["Fallback.to"],
    file: "policy/Fallback.ts",
    search: "Prompt.concat(request.prompt, [",
    replace: "Prompt.concat(Prompt.empty, ["
  },
  {
    fault: "a caller's question is sent for the next one's",
    breaks: "requestsArriveUnchanged",
    kinds: ["Bulkhead"],
    file: "policy/Bulkhead.ts",
    search: "generateText: (request) => permits.run(next.generateText(request), refused)",
    replace: `generateText: ((before) => (request) => {
          const { prompt } = before ?? request
          before = request
          return permits.run(next.generateText({ ...request, prompt }), refused)
        })(undefined)`
  },
  {
    fault: "a question is sent without a word of it",
    breaks: "requestsArriveUnchanged",
    kinds: ["SingleFlight"],
    file: "policy/SingleFlight.ts",
    search: "next.generateText(request)",
    replace: "next.generateText({ ...request, prompt: { ...request.prompt, content: [] } })"
  },
  {
    fault: "what a call spends is not booked",
    breaks: "limitsHoldEverywhere",
    kinds: ["SpendBudget"],
    file: "policy/spend-budget/Ledger.ts",
    search: "      account.tokens += booked.tokens\n",
    replace: ""
  }
]
