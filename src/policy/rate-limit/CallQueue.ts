/**
 * Where the calls of one key wait for the limit: the urgent first, then first come, first served, one at a time.
 *
 * Who is first sleeps until its turn, lets go everybody who may go then, and leaves the watch to the next. So there is
 * one timer for each key however many wait (with `maxWait`, or where another provider is there to be asked, one more for
 * each that does), no fiber that nobody owns, and
 * nothing to do for a call that need not wait.
 */
import { type Clock, Effect, Exit } from "effect"
import * as Monotonic from "../../core/Monotonic.ts"
import { Heap } from "../../core/queue/Heap.ts"
import type { Restore } from "../../core/Restore.ts"
import type * as PolicyReason from "../../core/call/PolicyReason.ts"
import * as State from "./State.ts"

/** Why a call is not let through. */
export type Refusal = Extract<
  PolicyReason.PolicyReason,
  { _tag: "QueueFull" | "DeadlineTooNear" | "RateLimited" | "LargerThanLimit" }
>

export interface Settings {
  readonly maxWaiting: number
  readonly maxWaitMillis: number
  readonly agingMillis: number
}

/** Who asks to be let through. */
export interface Asking {
  readonly need: State.Need
  readonly priority: number
  /** When the call came for the first time: one that was rejected and is tried again goes before newcomers. */
  readonly arrivedAt: number
  /** When the whole call must have ended. */
  readonly deadline: number | undefined
  /** Says for how many milliseconds the call may wait here before somebody else is asked. Asked when it has to wait. */
  readonly patience: () => number
}

interface Waiter extends Asking {
  /** `arrivedAt - priority × aging`: who waits gains a point of priority over newcomers with each `aging`. */
  readonly place: number
  readonly number: number
  taken: State.Taken | undefined
  /** How often it was told to look again, and how to tell it while it sleeps. */
  stirs: number
  stir: (() => void) | undefined
  heapIndex: number
}

export class CallQueue {
  readonly key: string
  private current: State.State
  private readonly settings: Settings
  private readonly clock: Clock.Clock
  private readonly waiting = new Heap<Waiter>(isBefore)
  /** What those who wait need together, by priority. */
  private readonly needed = new Map<number, State.Need>()
  private readonly holds: boolean
  private isHeld = false
  private count = 0
  /** Calls that were let through and have not ended. */
  calls = 0
  /** What the last headers said that cannot be meant. */
  unreadable: ReadonlyArray<string> = []

  /** `holds`: who goes holds the queue, so that nobody follows before {@link release}. */
  constructor(key: string, state: State.State, settings: Settings, clock: Clock.Clock, holds: boolean) {
    this.key = key
    this.current = state
    this.settings = settings
    this.clock = clock
    this.holds = holds
  }

  get now(): number {
    return Monotonic.millisUnsafe(this.clock)
  }

  get state(): State.State {
    return this.at(this.now)
  }

  /** Whether nobody would notice if it began anew. */
  get isClear(): boolean {
    return this.size === 0 && !this.isHeld && this.calls === 0 && State.isClear(this.state, this.now)
  }

  /** How many wait. */
  get size(): number {
    return this.waiting.size
  }

  /** Takes in what was learned of a call that was let through. */
  update(step: (state: State.State, now: number) => State.State): void {
    const { now } = this
    this.current = step(this.at(now), now)
    stir(this.waiting.first)
  }

  /** Lets the next go, where each call holds the queue when it goes. */
  release(): void {
    this.isHeld = false
    stir(this.waiting.first)
  }

  /** Puts back what a call took which was never sent. */
  undo(taken: State.Taken): void {
    this.update((state, now) => State.undo(state, taken, now))
    this.release()
  }

  /**
   * Waits for the call's turn. Interrupting the wait takes the call out of the queue, and back what it took.
   *
   * To be called where nothing is interrupted but what `restore` is put around: a call let go must not be lost.
   */
  acquire(asking: Asking, restore: Restore): Effect.Effect<State.Taken, Refusal> {
    const now = this.now
    if (this.waiting.size === 0 && !this.isHeld && State.wait(this.at(now), asking.need, now).millis <= 0) {
      return Effect.succeed(this.admit(asking.need, now))
    }
    const maxWaitMillis = Math.min(this.settings.maxWaitMillis, asking.patience())
    const refusal = this.refusalOf(asking, maxWaitMillis, now)
    if (refusal !== undefined) return Effect.fail(refusal)
    const waiter: Waiter = {
      ...asking,
      place: asking.arrivedAt - asking.priority * this.settings.agingMillis,
      number: ++this.count,
      taken: undefined,
      stirs: 0,
      stir: undefined,
      heapIndex: -1
    }
    this.waiting.push(waiter)
    const sum = this.needed.get(asking.priority)
    this.needed.set(asking.priority, sum === undefined ? asking.need : State.add(sum, asking.need))
    const turn =
      maxWaitMillis === Infinity
        ? this.turn(waiter)
        : Effect.timeoutOrElse(this.turn(waiter), {
            duration: maxWaitMillis,
            orElse: () => Effect.fail(this.rateLimited(State.wait(this.state, asking.need, this.now)))
          })
    return Effect.onExit(restore(turn), (exit) =>
      Exit.isSuccess(exit) ? Effect.void : Effect.sync(() => this.leave(waiter))
    )
  }

  private at(now: number): State.State {
    return (this.current = State.current(this.current, now))
  }

  private turn(waiter: Waiter): Effect.Effect<State.Taken, Refusal> {
    return Effect.suspend(() => {
      const seen = waiter.stirs
      if (waiter.taken === undefined && this.waiting.first === waiter) this.letGo(this.now)
      if (waiter.taken !== undefined) return Effect.succeed(waiter.taken)
      const stirred = untilStirred(waiter, seen)
      if (this.waiting.first !== waiter || this.isHeld) return Effect.andThen(stirred, this.turn(waiter))
      const now = this.now
      const { millis } = State.wait(this.at(now), waiter.need, now)
      if (waiter.deadline !== undefined && now + millis > waiter.deadline) {
        return Effect.fail(deadlineTooNear(waiter.deadline - now, millis))
      }
      return Effect.andThen(Effect.raceFirst(Effect.sleep(Math.ceil(millis)), stirred), this.turn(waiter))
    })
  }

  // Called by the first only, who goes before all others.
  private letGo(now: number): void {
    let first = this.waiting.first
    while (first !== undefined && !this.isHeld && State.wait(this.at(now), first.need, now).millis <= 0) {
      this.remove(first)
      first.taken = this.admit(first.need, now)
      stir(first)
      first = this.waiting.first
      if (this.isHeld || first === undefined || State.wait(this.at(now), first.need, now).millis > 0) stir(first)
    }
  }

  private admit(need: State.Need, now: number): State.Taken {
    const [state, taken] = State.take(this.at(now), need, now)
    this.current = state
    this.isHeld = this.holds
    return taken
  }

  private leave(waiter: Waiter): void {
    const { taken } = waiter
    if (taken === undefined) {
      this.remove(waiter)
      stir(this.waiting.first)
    } else this.undo(taken)
  }

  private remove(waiter: Waiter): void {
    if (waiter.heapIndex < 0) return
    this.waiting.remove(waiter)
    const sum = this.needed.get(waiter.priority) ?? waiter.need
    if (sum.requests <= waiter.need.requests) this.needed.delete(waiter.priority)
    else this.needed.set(waiter.priority, State.subtract(sum, waiter.need))
  }

  // Decides before the wait whether it is worth while. Who is less urgent does not count as going before.
  private refusalOf({ deadline, need, priority }: Asking, maxWaitMillis: number, now: number): Refusal | undefined {
    const { maxWaiting } = this.settings
    const small = State.tooSmall(this.at(now), need)
    if (small !== undefined) {
      const { dimension, limit } = small
      return { _tag: "LargerThanLimit", key: this.key, dimension, needed: need[dimension], limit }
    }
    if (this.waiting.size >= maxWaiting) return { _tag: "QueueFull", limit: this.leastLimit(), maxWaiting }
    if (maxWaitMillis === Infinity && deadline === undefined) return undefined
    let before = State.nothing
    for (const [other, sum] of this.needed) if (other >= priority) before = State.add(before, sum)
    const wait = State.wait(this.at(now), need, now, before)
    if (deadline !== undefined && now + wait.millis > deadline) return deadlineTooNear(deadline - now, wait.millis)
    return wait.millis > maxWaitMillis ? this.rateLimited(wait) : undefined
  }

  private rateLimited({ dimension, millis }: State.Wait): Refusal {
    return { _tag: "RateLimited", key: this.key, dimension, retryAfterMillis: Math.ceil(millis) }
  }

  private leastLimit(): number {
    const limits = this.current.buckets.filter(({ dimension }) => dimension === "requests").map(({ limit }) => limit)
    return Math.floor(Math.min(...limits, Number.MAX_SAFE_INTEGER))
  }
}

const deadlineTooNear = (left: number, needed: number): Refusal => ({
  _tag: "DeadlineTooNear",
  remainingMillis: Math.floor(Math.max(0, left)),
  neededMillis: Math.ceil(needed)
})

const stir = (waiter: Waiter | undefined): void => {
  if (waiter === undefined) return
  waiter.stirs++
  waiter.stir?.()
}

// Resuming a fiber runs it at once, in the midst of whoever resumes it: yielding leaves it to its own turn.
const untilStirred = (waiter: Waiter, seen: number): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (waiter.stirs !== seen) return resume(Effect.void)
    waiter.stir = () => resume(Effect.yieldNow)
    return Effect.sync(() => {
      waiter.stir = undefined
    })
  })

const isBefore = (a: Waiter, b: Waiter): boolean => (a.place === b.place ? a.number < b.number : a.place < b.place)
