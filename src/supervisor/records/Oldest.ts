/**
 * Finds which of what has ended is the oldest, and whether it is to be kept: in the same time however many there are.
 */
import { MutableList } from "effect"
import type * as JobId from "./JobId.ts"

/** At most `count`, each for at most `forMillis`. */
export interface Keep {
  readonly count: number
  readonly forMillis: number
}

/** What has ended, in the order of its end. */
export class Oldest<Ended extends JobId.JobId> {
  private rest = MutableList.make<Ended>()
  private first: Ended | undefined = undefined
  // Before this the oldest is not too old: to look up when each one ended costs as much as to find a record.
  private notBeforeMillis = 0
  private readonly endedAtMillis: (ended: Ended) => number | undefined

  constructor(endedAtMillis: (ended: Ended) => number | undefined) {
    this.endedAtMillis = endedAtMillis
  }

  push(ended: Ended): void {
    if (this.first === undefined) this.first = ended
    else MutableList.append(this.rest, ended)
  }

  /** When the oldest will be too old. */
  dueMillis({ forMillis }: Keep): number {
    return this.first === undefined ? Infinity : (this.endedAtMillis(this.first) ?? 0) + forMillis
  }

  /** Takes out the oldest if it is not to be kept. `count` are left of those that were taken in. */
  takeBeyond(keep: Keep, nowMillis: number, count = this.rest.length + 1): Ended | undefined {
    if (this.first === undefined || (count <= keep.count && !this.isTooOld(keep, nowMillis))) return undefined
    return this.take()
  }

  /** Takes out the oldest, whoever is left. */
  take(): Ended | undefined {
    const { first } = this
    const next = MutableList.take(this.rest)
    this.first = next === MutableList.Empty ? undefined : next
    return first
  }

  /** Lets go of all but those that are left, in their order, once most of them are not. */
  keepOnly(left: ReadonlyMap<Ended, unknown>): void {
    if (this.rest.length <= 2 * left.size + 64) return
    this.clear()
    for (const ended of left.keys()) this.push(ended)
  }

  clear(): void {
    this.rest = MutableList.make<Ended>()
    this.first = undefined
  }

  // Whatever becomes the oldest after this one ended later.
  private isTooOld(keep: Keep, nowMillis: number): boolean {
    if (nowMillis < this.notBeforeMillis) return false
    this.notBeforeMillis = this.dueMillis(keep)
    return nowMillis >= this.notBeforeMillis
  }
}
