/**
 * Lets so many calls through at a time; the others wait in a line with priorities and fair turns between tenants.
 *
 * The line is the supervisor's: tenants take turns, within a tenant the more urgent goes first, and waiting counts as
 * urgency. Letting the next one in takes time logarithmic in how many wait. A call that carries a deadline is refused as
 * soon as what is left of its time is less than what it is expected to need: see {@link ServiceTime}.
 */
import { Clock, Effect, Exit, type Fiber, Stream } from "effect"
import * as Caller from "../../core/call/Caller.ts"
import * as CallTrail from "../../core/CallTrail.ts"
import * as Deadline from "../../core/call/Deadline.ts"
import type * as PolicyReason from "../../core/call/PolicyReason.ts"
import { type Waiting, WaitingLine } from "../../core/queue/FairQueue.ts"
import type { Settings } from "./GateSettings.ts"
import { ServiceTime } from "./ServiceTime.ts"

/** What a call is refused with: too many wait, its turn did not come, or there is too little time left for it. */
export type Refusal = Extract<PolicyReason.PolicyReason, { _tag: "QueueFull" | "DeadlineTooNear" }>

/** One call on its way through a gate. */
export class Visit implements Waiting {
  key = ""
  priority = 0
  place = 0
  order = 0
  number = 0
  heapIndex = -1
  state: "new" | "waiting" | "inside" | "gone" = "new"
  deadline: number | undefined
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
    return this.clock?.currentTimeMillisUnsafe() ?? this.arrivedAt
  }
}

/** Is told of every call that was let in: when it was, and when it has ended but not yet left. */
export interface Observer<E> {
  readonly started?: (visit: Visit) => void
  readonly ended?: (visit: Visit, exit: Exit.Exit<unknown, E>) => void
}

export class Gate {
  /** Calls inside. */
  inFlight = 0
  private allowed: number
  private arrivals = 0
  private readonly settings: Settings
  private readonly line: WaitingLine<Visit>
  private readonly serviceTime = new ServiceTime()
  // How many wait at each priority, of which there are few.
  private readonly waitingAt = new Map<number, number>()

  constructor(settings: Settings, limit: number) {
    this.settings = settings
    this.allowed = limit
    this.line = new WaitingLine(settings.keyConcurrency)
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
      const visit = new Visit()
      const inside = ended === undefined ? self : Effect.onExit(self, (exit) => Effect.sync(() => ended(visit, exit)))
      return Effect.onExit(this.enter(visit, inside, refuse, started), (exit) =>
        Effect.sync(() => this.leave(visit, exit))
      )
    })
  }

  /**
   * Reads a stream inside. It leaves when it has ended, or its reader has left, and all that it held has been released.
   */
  stream<A, E, R, X>(
    self: (visit: Visit) => Stream.Stream<A, E, R>,
    refuse: (refusal: Refusal) => X,
    { ended, started }: Observer<E> = {}
  ): Stream.Stream<A, E | X, R> {
    return Stream.unwrap(
      Effect.suspend(() => {
        const visit = new Visit()
        const inside = Effect.sync(() =>
          ended === undefined
            ? self(visit)
            : Stream.onExit(self(visit), (exit) => Effect.sync(() => ended(visit, exit)))
        )
        return Effect.andThen(
          // In the stream's own scope, before anything else is: it is released last.
          Effect.addFinalizer((exit) => Effect.sync(() => this.leave(visit, exit))),
          this.enter(visit, inside, refuse, started)
        )
      })
    )
  }

  private enter<A, E, R, X>(
    visit: Visit,
    self: Effect.Effect<A, E, R>,
    refuse: (refusal: Refusal) => X,
    started: ((visit: Visit) => void) | undefined
  ): Effect.Effect<A, E | X, R> {
    return Effect.withFiber((fiber): Effect.Effect<A, E | X, R> => {
      this.arrive(visit, fiber)
      if (visit.state === "inside") {
        started?.(visit)
        return self
      }
      if (visit.refusal !== undefined) return Effect.fail(refuse(visit.refusal))
      return Effect.andThen(
        Effect.suspend(() => this.turn(visit)),
        Effect.suspend((): Effect.Effect<A, E | X, R> => {
          if (visit.refusal !== undefined) return Effect.fail(refuse(visit.refusal))
          started?.(visit)
          return self
        })
      )
    })
  }

  /** Lets a call in, lines it up, or refuses it, at once. */
  private arrive(visit: Visit, fiber: Fiber.Fiber<unknown, unknown>): void {
    const { priority, tenant } = fiber.getRef(Caller.Current)
    const clock = fiber.getRef(Clock.Clock)
    const now = clock.currentTimeMillisUnsafe()
    visit.key = tenant ?? ""
    visit.priority = priority
    visit.place = now - priority * this.settings.agingMillis
    visit.order = visit.number = this.arrivals++
    visit.deadline = fiber.getRef(Deadline.Current)
    visit.arrivedAt = now
    visit.clock = clock
    if (visit.deadline !== undefined) this.serviceTime.learn(now)
    // Those who wait while there is room are of tenants that are at their limit.
    const mayEnter = this.inFlight < this.allowed && this.line.sizeOf(visit.key) === 0
    visit.refusal = this.tooNear(visit, mayEnter ? 0 : this.expectedWait(visit), now)
    if (visit.refusal !== undefined) visit.state = "gone"
    else if (mayEnter && this.line.enter(visit)) this.letIn(visit, now)
    else if (this.line.size >= this.settings.maxWaiting) this.refuse(visit, this.full)
    else {
      visit.state = "waiting"
      this.line.push(visit)
      this.waitingAt.set(priority, (this.waitingAt.get(priority) ?? 0) + 1)
    }
  }

  /** Waits until the call has been let in or refused. */
  private turn(visit: Visit): Effect.Effect<void> {
    const isLimited = visit.deadline !== undefined || this.settings.maxWaitMillis < Infinity
    const told = Effect.callback<void>((resume) => {
      // Resuming a fiber runs it at once, and it may let in the next: yielding leaves each to its own turn.
      if (visit.state === "waiting") visit.wake = () => resume(Effect.yieldNow)
      else resume(Effect.void)
    })
    const waited = Effect.suspend(() =>
      CallTrail.record({
        _tag: "Waited",
        policy: this.settings.policy,
        millis: visit.now - visit.arrivedAt
      })
    )
    return Effect.andThen(isLimited ? Effect.raceFirst(told, this.expire(visit)) : told, waited)
  }

  /** Refuses a call when it has waited for too long to be let in. */
  private expire(visit: Visit): Effect.Effect<void> {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (visit.state !== "waiting") return Effect.void
      const waited = now - visit.arrivedAt
      this.serviceTime.learn(now)
      const refusal =
        waited >= this.settings.maxWaitMillis ? { ...this.full, waitedMillis: waited } : this.tooNear(visit, 0, now)
      if (refusal !== undefined) {
        this.withdraw(visit)
        this.refuse(visit, refusal)
        return Effect.void
      }
      const left = (visit.deadline ?? Infinity) - this.serviceTime.expected - now
      // What is expected changes while it waits, so it looks again then.
      return Effect.andThen(
        Effect.sleep(Math.max(1, Math.min(left, this.settings.maxWaitMillis - waited))),
        Effect.suspend(() => this.expire(visit))
      )
    })
  }

  private leave(visit: Visit, exit: Exit.Exit<unknown, unknown>): void {
    if (visit.state === "waiting") this.withdraw(visit)
    else if (visit.state === "inside") {
      const now = visit.now
      const millis = now - visit.startedAt
      // How long a call took that failed or was given up says something only if it took long.
      if (Exit.isSuccess(exit) || millis > this.serviceTime.average) this.serviceTime.record(millis, now)
      this.inFlight--
      this.line.leave(visit)
      this.settle(now)
    }
    visit.state = "gone"
  }

  /** Lets in as many as may come in. */
  private settle(now: number): void {
    if (this.line.size === 0) return
    this.serviceTime.learn(now)
    while (this.inFlight < this.allowed) {
      const visit = this.line.take()
      if (visit === undefined) return
      this.uncount(visit)
      const refusal = this.tooNear(visit, 0, now)
      if (refusal === undefined) this.letIn(visit, now)
      else {
        this.line.leave(visit)
        this.refuse(visit, refusal)
      }
      visit.wake?.()
    }
  }

  private letIn(visit: Visit, now: number): void {
    this.inFlight++
    visit.state = "inside"
    visit.startedAt = now
  }

  private refuse(visit: Visit, refusal: Refusal): void {
    visit.state = "gone"
    visit.refusal = refusal
  }

  private withdraw(visit: Visit): void {
    this.line.remove(visit)
    this.uncount(visit)
  }

  private uncount({ priority }: Visit): void {
    const others = (this.waitingAt.get(priority) ?? 0) - 1
    if (others > 0) this.waitingAt.set(priority, others)
    else this.waitingAt.delete(priority)
  }

  private get full() {
    return { _tag: "QueueFull", limit: this.allowed, maxWaiting: this.settings.maxWaiting } as const
  }

  /** Why a call that still has to wait for `waitMillis` cannot end in time, if so. */
  private tooNear(visit: Visit, waitMillis: number, now: number): Refusal | undefined {
    if (visit.deadline === undefined) return undefined
    const remainingMillis = Math.max(0, visit.deadline - now)
    const neededMillis = waitMillis + this.serviceTime.expected
    if (remainingMillis > 0 && remainingMillis >= neededMillis) return undefined
    return { _tag: "DeadlineTooNear", remainingMillis, neededMillis }
  }

  /**
   * How long a call that comes now waits for its turn, by an estimate that is rather too short: only those as urgent go
   * before it, and not more of them than its tenant's turns allow.
   */
  private expectedWait({ key, priority }: Visit): number {
    const { average } = this.serviceTime
    const ofKey = this.line.sizeOf(key)
    let before = 0
    for (const [other, count] of this.waitingAt) if (other >= priority) before += count
    before = Math.min(before, ofKey * Math.max(1, this.line.keysReady))
    const ofAll = ((before + 1) * average) / this.allowed
    return key === "" ? ofAll : Math.max(ofAll, (Math.min(before, ofKey) * average) / this.settings.keyConcurrency)
  }
}
