/**
 * Answers the calls of a provider from a cache, keeps what they bring, and fetches anew what has become stale.
 */
import { Cause, Clock, Context, Effect, type Fiber, type Scope, Stream } from "effect"
import type { AiError, IdGenerator, LanguageModel, Response } from "effect/ai"
import * as Monotonic from "../../core/Monotonic.ts"
import * as CallContext from "../../core/call/CallContext.ts"
import * as CallTrail from "../../core/call/CallTrail.ts"
import * as PartCopy from "../../core/call/PartCopy.ts"
import * as RequestKey from "../../core/call/RequestKey.ts"
import type { ModelProvider } from "../../core/call/ModelProvider.ts"
import * as Acceptance from "./Acceptance.ts"
import * as CacheEntry from "./Entry.ts"
import type { CacheTiers, Hit, Look, Use } from "./Tiers.ts"

const usual: Use = { reads: true, stores: true, freshForMillis: 0 }

export const CurrentUse: Context.Reference<Use> = Context.Reference("holdfast/policy/ResponseCache/Use", {
  defaultValue: (): Use => usual
})

/** After one attempt to fetch an entry anew, whatever came of it, the next one waits for so long. */
const refreshEveryMillis = 5_000

/** One call on its way through the cache. */
interface Call {
  readonly key: string
  readonly next: ModelProvider
  readonly request: LanguageModel.ProviderOptions
  readonly streamed: boolean
  readonly look: Look
}

type Sending<A> = Effect.Effect<A, AiError.AiError, IdGenerator.IdGenerator>
type PartStream = Stream.Stream<Response.StreamPartEncoded, AiError.AiError, IdGenerator.IdGenerator>

export class CachedCalls {
  hits = 0
  staleHits = 0
  misses = 0
  refreshFailures = 0
  private readonly refreshing = new Set<string>()
  private readonly tiers: CacheTiers
  private readonly maxRefreshes: number
  private readonly scope: Scope.Scope

  constructor(tiers: CacheTiers, maxRefreshes: number, scope: Scope.Scope) {
    this.tiers = tiers
    this.maxRefreshes = maxRefreshes
    this.scope = scope
  }

  around(next: ModelProvider): ModelProvider {
    return {
      ...next,
      generateText: (request) =>
        this.keyed(next, request, false, (call) =>
          call === undefined
            ? next.generateText(request)
            : Effect.flatMap(this.recall(call), (known) =>
                known === undefined
                  ? Effect.scoped(
                      Effect.flatMap(this.find(call), (hit) => (hit === undefined ? this.generate(call) : whole(hit)))
                    )
                  : whole(known)
              )
        ),
      streamText: (request) =>
        Stream.unwrap(
          this.keyed(next, request, true, (call) =>
            call === undefined
              ? Effect.succeed(next.streamText(request))
              : Effect.flatMap(this.recall(call), (known) =>
                  known === undefined
                    ? Effect.flatMap(this.find(call), (hit) =>
                        hit === undefined ? this.stream(call) : Effect.succeed(replay(hit))
                      )
                    : Effect.succeed(replay(known))
                )
          )
        )
    }
  }

  /** Continues with the call, or with `undefined` when it is none of the cache's business. */
  private keyed<A, E, R>(
    next: ModelProvider,
    request: LanguageModel.ProviderOptions,
    streamed: boolean,
    go: (call: Call | undefined) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    return Effect.withFiber((fiber) => {
      const use = fiber.getRef(CurrentUse)
      if (!use.reads && !use.stores) return go(undefined)
      return Effect.flatMap(RequestKey.keyOf(next, request), (key) =>
        go(key === undefined ? undefined : { key, next, request, streamed, look: lookOf(use, next, request) })
      )
    })
  }

  /** Finds the answer to a call in memory. */
  private recall(call: Call): Effect.Effect<Hit | undefined, never, IdGenerator.IdGenerator> {
    return Effect.withFiber((fiber) => {
      if (!call.look.reads) return Effect.undefined
      const now = Monotonic.millisUnsafe(fiber.getRef(Clock.Clock))
      const hit = this.tiers.inMemory(call.key, call.look, now)
      return hit === undefined ? Effect.undefined : this.noted(fiber, call, hit)
    })
  }

  /** Finds the answer to a call in the shared store; without one, the call is to be made while the scope is open. */
  private find(call: Call): Effect.Effect<Hit | undefined, never, IdGenerator.IdGenerator | Scope.Scope> {
    return Effect.flatMap(this.tiers.findOrClaim(call.key, call.look), (hit) =>
      Effect.withFiber((fiber) => this.noted(fiber, call, hit))
    )
  }

  private noted(
    fiber: Fiber.Fiber<unknown, unknown>,
    call: Call,
    hit: Hit | undefined
  ): Effect.Effect<Hit | undefined, never, IdGenerator.IdGenerator> {
    const clock = fiber.getRef(Clock.Clock)
    const recorder = fiber.getRef(CallTrail.Current)
    const date = clock.currentTimeMillisUnsafe()
    if (hit === undefined) {
      this.misses++
      recorder?.decide(date, { _tag: "CacheMissed" })
      if (this.tiers.store?.available === false) recorder?.decide(date, { _tag: "CacheUnavailable" })
      return Effect.undefined
    }
    this.hits++
    recorder?.decide(date, { _tag: "CacheHit", ...hit.found })
    if (!hit.found.stale) return Effect.succeed(hit)
    this.staleHits++
    // A call that keeps nothing would ask the model for nothing.
    return call.look.stores ? Effect.as(this.refresh(call, Monotonic.millisUnsafe(clock)), hit) : Effect.succeed(hit)
  }

  private generate(call: Call): Sending<Array<Response.PartEncoded>> {
    return this.keeping(call, (keep, recorder) =>
      call.next.generateText(call.request).pipe(
        Effect.tap((parts) => keep({ _tag: "Whole", parts })),
        Effect.provideService(CallTrail.Current, recorder)
      )
    )
  }

  /** Gives a stream that is kept when its last part has been passed on. */
  private stream(call: Call): Effect.Effect<PartStream> {
    const { maxEntryBytes } = this.tiers.settings
    return this.keeping(call, (keep, recorder) =>
      Effect.sync(() => {
        let chunks: Array<CacheEntry.Chunk> | undefined = []
        let bytes = 0
        const recorded = Stream.mapArray(call.next.streamText(call.request), (chunk) => {
          if (chunks !== undefined) {
            // Its reader may write into it before the answer is kept.
            chunks.push(chunk.map(PartCopy.of))
            for (const part of chunk) bytes += CacheEntry.sizeOf(part)
            if (bytes > maxEntryBytes) chunks = undefined
          }
          return chunk
        })
        const kept = Effect.suspend(() => (chunks === undefined ? Effect.void : keep({ _tag: "Streamed", chunks })))
        return Stream.provideService(Stream.onEnd(recorded, kept), CallTrail.Current, recorder)
      })
    )
  }

  /** Gives `make` what keeps the call's answer, and the trail by which that sees whose answer it is. */
  private keeping<A, E, R>(
    { key, look, next, request }: Call,
    make: (
      keep: (answer: CacheEntry.CacheEntry["answer"]) => Effect.Effect<void>,
      recorder: CallTrail.Recorder
    ) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    return Effect.flatMap(CallTrail.Current, (outer) => {
      const recorder = outer ?? new CallTrail.Recorder()
      const before = substitutesIn(recorder, next)
      const { clears } = this.tiers
      const keep = (answer: CacheEntry.CacheEntry["answer"]) =>
        Effect.flatMap(Clock.currentTimeMillis, (date) => {
          if (!look.stores || substitutesIn(recorder, next) !== before) return Effect.void
          // Whoever forgot every answer meant also those that were under way.
          if (this.tiers.clears !== clears) return Effect.void
          const entry = CacheEntry.make(answer, date)
          if (entry === undefined || !Acceptance.isFor(entry, request, next.codecTransformer)) return Effect.void
          return this.tiers.keep(key, entry)
        })
      return make(keep, recorder)
    })
  }

  /** Fetches an entry anew in the cache's scope, unless that is being done or was done a moment ago. */
  private refresh(call: Call, now: number): Effect.Effect<void, never, IdGenerator.IdGenerator> {
    const { key } = call
    const start = Effect.suspend(() => {
      const slot = this.tiers.memory.get(key, now)
      if (slot !== undefined && slot.refreshFromMillis > now) return Effect.void
      if (this.refreshing.has(key) || this.refreshing.size >= this.maxRefreshes) return Effect.void
      this.refreshing.add(key)
      if (slot !== undefined) slot.refreshFromMillis = now + refreshEveryMillis
      return Effect.map(Effect.forkIn(Effect.interruptible(this.anew(call)), this.scope), (fiber) =>
        fiber.addObserver(() => this.refreshing.delete(key))
      )
    })
    return Effect.uninterruptible(start)
  }

  /** A background refresh does not inherit the call's context: it has its own deadline, attempts and trail. */
  private anew(call: Call): Effect.Effect<void, never, IdGenerator.IdGenerator> {
    return Effect.flatMap(this.tiers.findOrClaim(call.key, { ...call.look, ...usual, freshForMillis: 1 }), (newer) => {
      if (newer !== undefined) return Effect.void
      return call.streamed ? Effect.flatMap(this.stream(call), Stream.runDrain) : Effect.asVoid(this.generate(call))
    }).pipe(
      Effect.scoped,
      Effect.timeout(this.tiers.settings.staleForMillis),
      CallContext.detached("refresh"),
      Effect.catchCause((cause) => {
        if (Cause.hasInterruptsOnly(cause)) return Effect.void
        this.refreshFailures++
        return Effect.logWarning("a cached answer could not be fetched anew; the stale one is given until then", cause)
      })
    )
  }
}

const lookOf = (use: Use, next: ModelProvider, request: LanguageModel.ProviderOptions): Look => ({
  ...use,
  accepts: (entry) => Acceptance.isFor(entry, request, next.codecTransformer)
})

/**
 * How often another than the model that was asked answered. Such an answer is right for this call, and would be wrong
 * under its key when the model is back. What the trail left out counts, as it may be one; so does an answer that was
 * shared, for whose it is stands on the trail of who was first, and that call keeps it.
 */
const substitutesIn = (recorder: CallTrail.Recorder, { model, name }: ModelProvider): number => {
  const { decisions, leftOut } = recorder.trail
  let count = leftOut
  for (const { decision } of decisions) {
    switch (decision._tag) {
      case "FellBack":
      case "Degraded":
      case "FlightJoined":
        count++
        break
      case "AttemptWon":
        if (decision.provider !== name || decision.model !== model) count++
        break
    }
  }
  return count
}

const whole = ({ entry, found }: Hit) => Effect.succeed(CacheEntry.partsOf(entry, found))

/** Gives a stream again, piece by piece as its reader asks. */
const replay = ({ entry, found }: Hit): PartStream =>
  Stream.fromPull(
    Effect.sync(() => {
      const chunks = CacheEntry.chunksOf(entry, found)
      let at = 0
      return Effect.suspend(() => {
        const chunk = chunks[at++]
        return chunk === undefined ? Cause.done() : Effect.succeed(chunk.map(PartCopy.of) as unknown as NonEmptyChunk)
      })
    })
  )

type NonEmptyChunk = readonly [Response.StreamPartEncoded, ...CacheEntry.Chunk]
