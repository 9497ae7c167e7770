import { Effect, Layer, type Scope } from "effect"
import { CircuitBreaker as Circuits, Persistence, RateLimiter } from "effect/persistence"
import {
  AdaptiveLimit,
  Bulkhead,
  CircuitBreaker,
  Degrade,
  Fallback,
  Hedge,
  Pipeline,
  Race,
  RateLimit,
  Repair,
  ResponseCache,
  Retry,
  RetryBudget,
  SingleFlight,
  SpendBudget,
  Timeout
} from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { atLeast0, endless, given, type Table, texts, times, waits, walk, wholes } from "../optionWalk.ts"
import { scripted } from "./scripted.ts"

const stores = Layer.mergeAll(RateLimiter.layerStoreMemory, Circuits.layerStoreMemory(), Persistence.layerBackingMemory)

type Stores = Layer.Success<typeof stores>

/** Builds what a policy makes of a provider, and throws when its options are refused. */
const built = (policy: () => ModelProvider.Policy<Stores | Scope.Scope>) =>
  Effect.provide(
    Effect.suspend(() => policy()(model)),
    stores
  )

const { provider: model } = scripted([])

const table = (
  owner: string,
  file: string,
  name: string,
  make: (options: never) => ModelProvider.Policy<Stores | Scope.Scope>,
  fields: Table[4],
  others: object = {}
): Table => [
  owner,
  `src/policy/${file}.ts`,
  name,
  (option, value) => built(() => make(given(option, value, others))),
  fields
]

// `null` is the same as nothing where an option has a default.
const orNull = (...allowed: ReadonlyArray<string>) => [...allowed, "null"]
const shares = ["0", "-0"]
const gate = {
  maxWaiting: orNull(...atLeast0),
  keyConcurrency: wholes,
  aging: orNull(...times),
  maxWait: endless
}
const sizes = ["0", "-0", "2^31"]
const callback = ["a function"]
const places = ["a function", "an object", "null"]

const pipeline = (options: never) => () => {
  try {
    Pipeline.standard(options)
  } catch (refusal) {
    // The policy of a place refuses its own options by their own names.
    if (String(refusal).startsWith("RangeError: Pipeline")) throw refusal
  }
  return Effect.succeed(model)
}

walk([
  table("Bulkhead", "gate/GateSettings", "Options", Bulkhead.limit, gate, { concurrency: 1 }),
  table("Bulkhead", "Bulkhead", "Options", Bulkhead.limit, { concurrency: wholes }),
  table("AdaptiveLimit", "AdaptiveLimit", "Options", AdaptiveLimit.learned, {
    initial: orNull(),
    min: orNull("2^31"),
    max: orNull("2^31"),
    tolerance: orNull("1.5", "2^31", "2^53+1"),
    window: orNull(...times)
  }),
  table(
    "CircuitBreaker",
    "CircuitBreaker",
    "Options",
    CircuitBreaker.perModel,
    {
      ratio: orNull(),
      minCalls: orNull(...wholes),
      window: orNull(...times),
      consecutive: orNull(...wholes),
      open: orNull(...times),
      maxOpen: orNull(...times),
      perTenant: orNull("true"),
      maxKeys: orNull(...wholes)
    },
    { open: 1, maxOpen: 2 ** 60 }
  ),
  table("CircuitBreaker", "CircuitBreaker", "SharedOptions", CircuitBreaker.shared, { storeTimeout: orNull(...times) }),
  table("Degrade", "Degrade", "Options", (options) => Degrade.to("sorry", options), { when: orNull(...callback) }),
  table("Fallback", "Fallback", "Options", (options) => Fallback.to(model, options), {
    when: orNull(...callback),
    midStream: orNull(),
    continueFrom: orNull(...callback),
    patience: orNull("0", "-0", ...endless)
  }),
  table("Hedge", "Hedge", "Options", Hedge.adaptive, { maxShare: shares, to: [] }),
  table("Hedge", "Hedge", "AdaptiveOptions", Hedge.adaptive, {
    quantile: orNull(),
    samples: [],
    warmUp: orNull()
  }),
  table("Pipeline", "Pipeline", "Options", pipeline, {
    degrade: orNull("a function", ...texts),
    timeout: orNull("a function", ...endless),
    retryBudget: places,
    cache: places,
    singleFlight: places,
    repair: places
  }),
  table("Pipeline", "pipeline/Providers", "Options", pipeline, {
    fallback: orNull("an array"),
    race: orNull("an array"),
    circuitBreaker: places,
    retry: places,
    hedge: ["null", "a function"],
    spend: places,
    tenantLimit: places,
    bulkhead: places,
    rateLimit: places,
    attempt: orNull("a function", "an object", ...endless)
  }),
  table("Race", "Race", "Options", (options) => Race.with([model], options), {
    acceptable: orNull(...callback),
    stagger: ["0", "-0", ...times]
  }),
  table("RateLimit", "rate-limit/Settings", "LimitOptions", RateLimit.of, {
    requests: [],
    tokens: [],
    inputTokens: [],
    outputTokens: [],
    burst: ["1.5", "2^31", "2^53+1", "Infinity"],
    maxWaiting: orNull(...atLeast0),
    maxWait: orNull(...waits),
    aging: orNull(...times)
  }),
  table("RateLimit", "RateLimit", "Options", RateLimit.of, {
    estimate: callback,
    maxKeys: wholes,
    perTenant: orNull("true")
  }),
  table("Repair", "Repair", "Options", Repair.structured, { times: orNull(...atLeast0) }),
  table(
    "ResponseCache",
    "ResponseCache",
    "Options",
    ResponseCache.exact,
    {
      timeToLive: times,
      staleFor: orNull("0", "-0", ...times),
      capacity: atLeast0,
      maxBytes: sizes,
      maxEntryBytes: sizes,
      maxRefreshes: atLeast0
    },
    { timeToLive: "1 minute" }
  ),
  table(
    "ResponseCache",
    "ResponseCache",
    "SharedOptions",
    ResponseCache.shared,
    {
      storeId: ["a text"],
      storeTimeout: orNull(...times),
      retryStoreAfter: orNull(...times),
      leaseFor: orNull(...times)
    },
    { timeToLive: "1 minute" }
  ),
  table("Retry", "Retry", "Options", Retry.transient, {
    times: orNull(...atLeast0),
    base: orNull("0", "-0", ...times),
    cap: orNull(...waits),
    maxRetryAfter: orNull(...waits)
  }),
  table("RetryBudget", "RetryBudget", "Options", RetryBudget.of, {
    ratio: orNull(...shares, "1.5", "2^31", "2^53+1"),
    minPerSecond: orNull(...shares, "1.5", "2^31", "2^53+1"),
    window: orNull(...times),
    maxAttempts: wholes
  }),
  table("SingleFlight", "SingleFlight", "Options", SingleFlight.identical, { maxBuffer: ["2^31"] }),
  table(
    "SpendBudget",
    "SpendBudget",
    "Options",
    SpendBudget.of,
    {
      tokens: [...waits],
      money: [...waits],
      window: orNull(...times),
      prices: [],
      perTenant: ["true"]
    },
    { tokens: 1, money: 1, prices: { m: { input: 1, output: 1 } } }
  ),
  table("Timeout", "Timeout", "AttemptLimits", Timeout.perAttempt, {
    headers: endless,
    firstToken: endless,
    idle: endless,
    attempt: endless,
    tokensPerSecond: orNull(...shares, "1.5", "2^31", "2^53+1")
  })
])
