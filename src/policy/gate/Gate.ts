/**
 * Lets so many calls through at a time; the others wait in a line with priorities and fair turns between tenants.
 *
 * The line is the supervisor's: tenants take turns, within a tenant the more urgent goes first, and waiting counts as
 * urgency. Letting the next one in takes time logarithmic in how many wait. A call that carries a deadline is refused as
 * soon as what is left of its time is less than what it is expected to need: see {@link ServiceTime}.
 */
import { Clock, Effect, Exit, type Fiber, Stream } from "effect"
import * as Monotonic from "../../core/Monotonic.ts"
import * as Caller from "../../core/call/Caller.ts"
import * as CallTrail from "../../core/call/CallTrail.ts"
import * as Key from "../../core/call/Key.ts"
import * as Deadline from "../../core/call/Deadline.ts"
import * as Patience from "../../core/call/Patience.ts"
import * as PolicyReason from "../../core/call/PolicyReason.ts"
import { type Waiting, FairQueue } from "../../core/queue/FairQueue.ts"
import type { Settings } from "./GateSettings.ts"
import { ServiceTime } from "./ServiceTime.ts"

/** What a call is refused with: too many wait, its turn did not come, or there is too little time left for it. */
export type Refusal = Extract<PolicyReason.PolicyReason, { _tag: "QueueFull" | "DeadlineTooNear" }>

// What a call is refused with that is not to wait any longer.
const unlessFull = PolicyReason.toAiError("Bulkhead", { _tag: "QueueFull", limit: 0, maxWaiting: 0 })

/** One call on its way through a gate. */
export class Permit implements Waiting {
  key = ""
  priority = 0
  place = 0
  order = 0
  number = 0
  heapIndex = -1
  state: "new" | "waiting" | "inside" | "gone" = "new"
  deadline: number | undefined
  /** The longest that it waits. */
  maxWaitMillis = Infinity
  arrivedAt = 0
  /** When it was let in. */
  startedAt = 0
  /** For observers: the round they were in when it was let in. */
  round = 0
  refusal: Refusal | undefined
  clock: Clock.Clock | undefined
  /** Wakes the fiber that waits. */
  wake: (() => void) | undefined

  get now(): number {
    return this.clock === undefined ? this.arrivedAt : Monotonic.millisUnsafe(this.clock)
  }
}

/** Is told of every call that was let in: when it was, and when it has ended but not yet left. */
export interface Observer<E> {
  readonly started?: (permit: Permit) => void
  readonly ended?: (permit: Permit, exit: Exit.Exit<unknown, E>) => void
}

export class Gate {
  /** Calls inside. */
  inFlight = 0
  private allowed: number
  private arrivals = 0
  private readonly settings: Settings
  private readonly line: FairQueue<Permit>
  private readonly serviceTime = new ServiceTime()
  // How many wait at each priority, of which there are few.
  private readonly waitingAt = new Map<number, number>()

  constructor(settings: Settings, limit: number) {
    this.settings = settings
    this.allowed = limit
    this.line = new FairQueue(settings.keyConcurrency, settings.agingMillis)
  }

  get limit(): number {
    return this.allowed
  }

  get waiting(): number {
    return this.line.size
  }

  /** From 100, while nobody has to wait, to 0, when no more may. */
  get score(): number {
    if (this.inFlight < this.allowed) return 100
    const { maxWaiting } = this.settings
    return maxWaiting === 0 ? 0 : Math.round(100 * (1 - Math.min(1, this.line.size / maxWaiting)))
  }

  /** Changes the limit. Who is inside stays; who may come in now does. */
  resize(limit: number, now: number): void {
    if (limit === this.allowed) return
    this.allowed = limit
    this.settle(now)
  }

  /**
   * Runs an effect inside. It leaves when it has ended, however it did; interrupted while it waits, it leaves the line.
   */
  run<A, E, R, X>(
    self: Effect.Effect<A, E, R>,
    refuse: (refusal: Refusal) => X,
    { ended, started }: Observer<E> = {}
  ): Effect.Effect<A, E | X, R> {
    return Effect.suspend(() => {
      const permit = new Permit()
      const inside = ended === undefined ? self : Effect.onExit(self, (exit) => Effect.sync(() => ended(permit, exit)))
      return Effect.onExit(this.acquire(permit, inside, refuse, started), (exit) =>
        Effect.sync(() => this.release(permit, exit))
      )
    })
  }

  /**
   * Reads a stream inside. It leaves when it has ended, or its reader has left, and all that it held has been released.
   */
  stream<A, E, R, X>(
    self: (permit: Permit) => Stream.Stream<A, E, R>,
    refuse: (refusal: Refusal) => X,
    { ended, started }: Observer<E> = {}
  ): Stream.Stream<A, E | X, R> {
    return Stream.unwrap(
      Effect.suspend(() => {
        const permit = new Permit()
        const inside = Effect.sync(() =>
          ended === undefined
            ? self(permit)
            : Stream.onExit(self(permit), (exit) => Effect.sync(() => ended(permit, exit)))
        )
        return Effect.andThen(
          // In the stream's own scope, before anything else is: it is released last.
          Effect.addFinalizer((exit) => Effect.sync(() => this.release(permit, exit))),
          this.acquire(permit, inside, refuse, started)
        )
      })
    )
  }

  private acquire<A, E, R, X>(
    permit: Permit,
    self: Effect.Effect<A, E, R>,
    refuse: (refusal: Refusal) => X,
    started: ((permit: Permit) => void) | undefined
  ): Effect.Effect<A, E | X, R> {
    return Effect.withFiber((fiber): Effect.Effect<A, E | X, R> => {
      this.arrive(permit, fiber)
      if (permit.state === "inside") {
        started?.(permit)
        return self
      }
      if (permit.refusal !== undefined) return Effect.fail(refuse(permit.refusal))
      return Effect.andThen(
        Effect.suspend(() => this.turn(permit)),
        Effect.suspend((): Effect.Effect<A, E | X, R> => {
          if (permit.refusal !== undefined) return Effect.fail(refuse(permit.refusal))
          started?.(permit)
          return self
        })
      )
    })
  }

  /** Lets a call in, lines it up, or refuses it, at once. */
  private arrive(permit: Permit, fiber: Fiber.Fiber<unknown, unknown>): void {
    const { priority, tenant } = fiber.getRef(Caller.Current)
    const clock = fiber.getRef(Clock.Clock)
    const now = Monotonic.millisUnsafe(clock)
    permit.key = Key.of(tenant)
    permit.priority = priority
    permit.place = now - priority * this.settings.agingMillis
    permit.order = permit.number = this.arrivals++
    permit.deadline = fiber.getRef(Deadline.Current)
    permit.arrivedAt = now
    permit.clock = clock
    if (permit.deadline !== undefined) this.serviceTime.learn(now)
    // Those who wait while there is room are of tenants that are at their limit.
    const mayEnter = this.inFlight < this.allowed && this.line.sizeOf(permit.key) === 0
    permit.refusal = this.tooNear(permit, mayEnter ? 0 : this.expectedWait(permit), now)
    if (permit.refusal !== undefined) permit.state = "gone"
    else if (mayEnter && this.line.enter(permit)) this.letIn(permit, now)
    else if (this.line.size >= this.settings.maxWaiting) this.refuse(permit, this.full)
    else this.lineUp(permit, Patience.leftMillis(fiber, unlessFull), now)
  }

  /** Lines a call up, unless somebody else is to be asked before its turn is likely to come. */
  private lineUp(permit: Permit, patienceMillis: number, now: number): void {
    if (patienceMillis < Infinity) {
      this.serviceTime.learn(now)
      if (this.expectedWait(permit) >= patienceMillis) {
        this.refuse(permit, { ...this.full, waitedMillis: 0 })
        return
      }
    }
    permit.maxWaitMillis = Math.min(this.settings.maxWaitMillis, patienceMillis)
    permit.state = "waiting"
    this.line.push(permit, now)
    this.waitingAt.set(permit.priority, (this.waitingAt.get(permit.priority) ?? 0) + 1)
  }

  /** Waits until the call has been let in or refused. */
  private turn(permit: Permit): Effect.Effect<void> {
    const isLimited = permit.deadline !== undefined || permit.maxWaitMillis < Infinity
    const told = Effect.callback<void>((resume) => {
      // Resuming a fiber runs it at once, and it may let in the next: yielding leaves each to its own turn.
      if (permit.state === "waiting") permit.wake = () => resume(Effect.yieldNow)
      else resume(Effect.void)
    })
    const waited = Effect.suspend(() =>
      CallTrail.record({
        _tag: "Waited",
        policy: this.settings.policy,
        millis: Math.round(permit.now - permit.arrivedAt)
      })
    )
    return Effect.andThen(isLimited ? Effect.raceFirst(told, this.expire(permit)) : told, waited)
  }

  /** Refuses a call when it has waited for too long to be let in. */
  private expire(permit: Permit): Effect.Effect<void> {
    return Effect.flatMap(Monotonic.millis, (now) => {
      if (permit.state !== "waiting") return Effect.void
      const waited = now - permit.arrivedAt
      this.serviceTime.learn(now)
      const refusal =
        waited >= permit.maxWaitMillis
          ? { ...this.full, waitedMillis: Math.round(waited) }
          : this.tooNear(permit, 0, now)
      if (refusal !== undefined) {
        this.withdraw(permit)
        this.refuse(permit, refusal)
        return Effect.void
      }
      const left = (permit.deadline ?? Infinity) - this.serviceTime.expected - now
      // What is expected changes while it waits, so it looks again then.
      return Effect.andThen(
        Effect.sleep(Math.max(1, Math.min(left, permit.maxWaitMillis - waited))),
        Effect.suspend(() => this.expire(permit))
      )
    })
  }

  private release(permit: Permit, exit: Exit.Exit<unknown, unknown>): void {
    if (permit.state === "waiting") this.withdraw(permit)
    else if (permit.state === "inside") {
      const now = permit.now
      const millis = now - permit.startedAt
      // How long a call took that failed or was given up says something only if it took long.
      if (Exit.isSuccess(exit) || millis > this.serviceTime.average) this.serviceTime.record(millis, now)
      this.inFlight--
      this.line.leave(permit)
      this.settle(now)
    }
    permit.state = "gone"
  }

  /** Lets in as many as may come in. */
  private settle(now: number): void {
    if (this.line.size === 0) return
    this.serviceTime.learn(now)
    while (this.inFlight < this.allowed) {
      const permit = this.line.take(now)
      if (permit === undefined) return
      this.uncount(permit)
      const refusal = this.tooNear(permit, 0, now)
      if (refusal === undefined) this.letIn(permit, now)
      else {
        this.line.leave(permit)
        this.refuse(permit, refusal)
      }
      permit.wake?.()
    }
  }

  private letIn(permit: Permit, now: number): void {
    this.inFlight++
    permit.state = "inside"
    permit.startedAt = now
  }

  private refuse(permit: Permit, refusal: Refusal): void {
    permit.state = "gone"
    permit.refusal = refusal
  }

  private withdraw(permit: Permit): void {
    this.line.remove(permit)
    this.uncount(permit)
  }

  private uncount({ priority }: Permit): void {
    const others = (this.waitingAt.get(priority) ?? 0) - 1
    if (others > 0) this.waitingAt.set(priority, others)
    else this.waitingAt.delete(priority)
  }

  private get full() {
    return { _tag: "QueueFull", limit: this.allowed, maxWaiting: this.settings.maxWaiting } as const
  }

  /** Why a call that still has to wait for `waitMillis` cannot end in time, if so. */
  private tooNear(permit: Permit, waitMillis: number, now: number): Refusal | undefined {
    if (permit.deadline === undefined) return undefined
    const remainingMillis = Math.max(0, permit.deadline - now)
    const neededMillis = waitMillis + this.serviceTime.expected
    if (remainingMillis > 0 && remainingMillis >= neededMillis) return undefined
    return {
      _tag: "DeadlineTooNear",
      remainingMillis: Math.floor(remainingMillis),
      neededMillis: Math.ceil(neededMillis)
    }
  }

  /**
   * How long a call that comes now waits for its turn, by an estimate that is rather too short: only those as urgent go
   * before it, and not more of them than its tenant's turns allow.
   */
  private expectedWait({ key, priority }: Permit): number {
    const { average } = this.serviceTime
    const ofKey = this.line.sizeOf(key)
    let before = 0
    for (const [other, count] of this.waitingAt) if (other >= priority) before += count
    before = Math.min(before, ofKey * Math.max(1, this.line.keysReady))
    const ofAll = ((before + 1) * average) / this.allowed
    return key === "" ? ofAll : Math.max(ofAll, (Math.min(before, ofKey) * average) / this.settings.keyConcurrency)
  }
}
