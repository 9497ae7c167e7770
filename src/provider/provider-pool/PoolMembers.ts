/**
 * Chooses which provider of a pool answers a call, and takes in what becomes of it.
 */
import { Cause, Clock, type Duration, Effect, Exit, Random } from "effect"
import type { AiError, LanguageModel } from "effect/ai"
import * as Monotonic from "../../core/Monotonic.ts"
import * as CallTrail from "../../core/call/CallTrail.ts"
import * as Failure from "../../core/call/Failure.ts"
import * as OutcomeWindow from "../../core/window/OutcomeWindow.ts"
import type * as PolicyHealth from "../../core/call/PolicyHealth.ts"
import * as PolicyReason from "../../core/call/PolicyReason.ts"
import * as Verdict from "../../core/call/Verdict.ts"
import type { Readiness } from "../../core/call/ModelProvider.ts"
import { cheaperOfTwo, type PoolMember, type Settings, type Way } from "./PoolMember.ts"

/** One call, from being sent to a provider to its end. */
export class Permit {
  readonly member: PoolMember
  private readonly members: PoolMembers
  private readonly request: LanguageModel.ProviderOptions
  private readonly way: Way
  private readonly clock: Clock.Clock
  private readonly random: typeof Random.Random.Service
  private readonly recorder: CallTrail.Recorder | undefined
  private readonly startedAt: number
  private readonly epoch: number
  private isAnswered = false
  private isOver = false

  constructor(
    members: PoolMembers,
    member: PoolMember,
    request: LanguageModel.ProviderOptions,
    way: Way,
    clock: Clock.Clock,
    random: typeof Random.Random.Service,
    recorder: CallTrail.Recorder | undefined
  ) {
    this.members = members
    this.member = member
    this.request = request
    this.way = way
    this.clock = clock
    this.random = random
    this.recorder = recorder
    this.startedAt = Monotonic.millisUnsafe(clock)
    this.epoch = member.epoch
    member.inFlight++
  }

  /** The answer is there, or its first content: this is how long the provider takes. */
  answered(): void {
    if (this.isAnswered) return
    this.isAnswered = true
    const now = Monotonic.millisUnsafe(this.clock)
    this.member.answered(this.way, now - this.startedAt, now)
  }

  /** It came to an end that says something about the provider, if a failure does. */
  ended(exit: Exit.Exit<unknown, AiError.AiError>): void {
    if (this.isOver) return
    const now = Monotonic.millisUnsafe(this.clock)
    const counts = this.epoch === this.member.epoch
    if (Exit.isSuccess(exit)) {
      this.answered()
      if (counts) this.member.succeeded(now)
    } else {
      const error = Cause.findErrorOption(exit.cause)
      if (error._tag === "None") return this.release()
      if (!this.isAnswered) this.member.failedAfter(this.way, now - this.startedAt, now)
      this.isAnswered = true
      if (counts) {
        const forMillis = this.members.failed(this.member, error.value, now, this.random.nextDoubleUnsafe())
        if (forMillis !== undefined) {
          this.recorder?.decide(this.clock.currentTimeMillisUnsafe(), {
            _tag: "ProviderEjected",
            name: this.member.name,
            forMillis
          })
        }
      }
    }
    this.release()
  }

  /** What to fail with: where another provider may answer, the pool's error is not this one's alone. */
  failure(error: AiError.AiError): AiError.AiError {
    const isItsOwn = Verdict.isProvidersDoing(error)
    const now = Monotonic.millisUnsafe(this.clock)
    return isItsOwn && this.members.haveAnother(this.request, now) ? Failure.ofOneOfSeveral(error) : error
  }

  /** Nobody waits for it any longer. */
  release(): void {
    if (this.isOver) return
    this.isOver = true
    this.member.inFlight--
    if (this.isAnswered) return
    const now = Monotonic.millisUnsafe(this.clock)
    this.member.keptWaiting(this.way, now - this.startedAt, now)
  }
}

export class PoolMembers {
  private readonly pool: string
  private readonly members: ReadonlyArray<PoolMember>
  private readonly settings: Settings
  private readonly haveReadings: boolean
  // To whom a call was sent already: policies that send it again pass on the same request.
  private readonly sentTo = new WeakMap<LanguageModel.ProviderOptions, Array<PoolMember>>()

  constructor(pool: string, members: ReadonlyArray<PoolMember>, settings: Settings) {
    this.pool = pool
    this.members = members
    this.settings = settings
    this.haveReadings = members.some(({ provider }) => provider.readiness !== undefined)
  }

  /** Takes the provider for a call. Run it uninterruptibly, and say what became of the call. */
  acquire(request: LanguageModel.ProviderOptions, way: Way): Effect.Effect<Permit, AiError.AiError> {
    return Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const random = fiber.getRef(Random.Random)
      const recorder = fiber.getRef(CallTrail.Current)
      const take = (readings: ReadonlyArray<Readiness>) => {
        const member = this.best(request, way, readings, clock, random, recorder)
        if (member === undefined) {
          const names = this.members.map(({ name }) => name)
          return Effect.fail(PolicyReason.toAiError("ProviderPool", { _tag: "NoProvider", names }))
        }
        recorder?.decide(clock.currentTimeMillisUnsafe(), { _tag: "ProviderChosen", name: member.name })
        const before = this.sentTo.get(request)
        if (before === undefined) this.sentTo.set(request, [member])
        else if (!before.includes(member)) before.push(member)
        return Effect.succeed(new Permit(this, member, request, way, clock, random, recorder))
      }
      return this.haveReadings ? Effect.flatMap(this.readings, take) : take([])
    })
  }

  /** Whether somebody may answer to whom a call was not sent yet. */
  haveAnother(request: LanguageModel.ProviderOptions, now: number): boolean {
    const before = this.sentTo.get(request)
    return this.members.some((member) => before?.includes(member) !== true && member.standing(now) === "usable")
  }

  failed(member: PoolMember, error: AiError.AiError, now: number, draw: number): number | undefined {
    let successes = 0
    let faults = 0
    for (const other of this.members) {
      if (other === member) continue
      const tally = other.window.tally(now)
      successes += tally.successes
      faults += tally.faults
    }
    const othersRatio = 1 - OutcomeWindow.successRatio({ successes, faults, faultsInARow: 0 })
    return member.failed(error, now, draw, othersRatio, this.mayEject(member, now))
  }

  /** Runs a health check of a provider and takes in its outcome: also that it takes too long is one. */
  check(member: PoolMember, check: Effect.Effect<unknown, Error>, timeout: Duration.Duration): Effect.Effect<void> {
    return Effect.flatMap(Effect.timeoutOption(Effect.exit(check), timeout), (exit) =>
      Effect.flatMap(Monotonic.millis, (now) => {
        const passed = exit._tag === "Some" && Exit.isSuccess(exit.value)
        if (!member.checked(passed, now, this.mayEject(member, now))) return Effect.void
        return passed
          ? Effect.logInfo(`Provider ${member.name} of ${this.pool} passes its health check again`)
          : Effect.logWarning(`Provider ${member.name} of ${this.pool} fails its health check`, exit)
      })
    )
  }

  /** Who may answer, and what else changes their answers: pools that differ in that give different answers. */
  get answering(): Effect.Effect<unknown> {
    return Effect.forEach(this.members, ({ provider: { model, name, settings = Effect.undefined } }) =>
      Effect.map(settings, (now) => [name, model, now])
    )
  }

  /** What a call to the pool would meet. */
  get readiness(): Effect.Effect<Readiness> {
    return Effect.flatMap(this.readings, (readings) =>
      Effect.map(Monotonic.millis, (now) => {
        const orders = this.members.map((member, index) => this.reluctance(member, readings[index], now))
        const least = Math.min(...orders)
        if (least > 0) return least === Infinity ? "circuitOpen" : "saturated"
        const isReady = orders.some((order, index) => order === 0 && readings[index] !== "circuitHalfOpen")
        return isReady ? "ready" : "circuitHalfOpen"
      })
    )
  }

  get health(): Effect.Effect<PolicyHealth.PoolHealth> {
    return Effect.map(Monotonic.millis, (now) => {
      const providers = this.members.map((member) => {
        const standing = member.standing(now)
        const usable = standing === "usable" || standing === "reluctant"
        const successRatio = OutcomeWindow.successRatio(member.window.tally(now))
        const { inFlight, latencyMillis, name } = member
        return {
          name,
          usable,
          successRatio,
          latencyMillis,
          inFlight,
          score: usable ? Math.round(100 * successRatio) : 0
        }
      })
      const sum = providers.reduce((total, { score }) => total + score, 0)
      return { _tag: "ProviderPool", providers, score: Math.round(sum / providers.length) }
    })
  }

  private best(
    request: LanguageModel.ProviderOptions,
    way: Way,
    readings: ReadonlyArray<Readiness>,
    clock: Clock.Clock,
    random: typeof Random.Random.Service,
    recorder: CallTrail.Recorder | undefined
  ): PoolMember | undefined {
    const now = Monotonic.millisUnsafe(clock)
    const before = this.sentTo.get(request)
    let least = Infinity
    let candidates: Array<PoolMember> = []
    for (const [index, member] of this.members.entries()) {
      if (member.hasReturned(now)) {
        recorder?.decide(clock.currentTimeMillisUnsafe(), { _tag: "ProviderReturned", name: member.name })
      }
      const reluctance = 2 * this.reluctance(member, readings[index], now) + (before?.includes(member) === true ? 1 : 0)
      if (reluctance > least || reluctance === Infinity) continue
      if (reluctance < least) candidates = []
      least = reluctance
      candidates.push(member)
    }
    const costs = candidates.map((member) => member.costOf(way, now))
    return candidates[cheaperOfTwo(costs, random.nextDoubleUnsafe(), random.nextDoubleUnsafe())]
  }

  // From 0, gladly, to Infinity, not at all.
  private reluctance(member: PoolMember, reading: Readiness | undefined, now: number): number {
    const standing = member.standing(now)
    if (standing === "refusing" || reading === "circuitOpen") return Infinity
    if (standing === "ejected") return this.settings.maxEjected === 1 ? Infinity : 2
    return standing === "reluctant" || reading === "saturated" ? 1 : 0
  }

  private mayEject(member: PoolMember, now: number): boolean {
    const ejected = this.members.filter((other) => other !== member && other.standing(now) === "ejected").length
    return ejected + 1 <= this.settings.maxEjected * this.members.length
  }

  private get readings(): Effect.Effect<ReadonlyArray<Readiness>> {
    return Effect.forEach(this.members, ({ provider }) => provider.readiness ?? ready)
  }
}

const ready = Effect.succeed<Readiness>("ready")
