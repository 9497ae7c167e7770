/**
 * Holds entries in memory, bounded by their number and their bytes; the one not used for longest goes first.
 */
import { RecentlyUsed } from "../../core/window/RecentlyUsed.ts"
import type { CacheEntry } from "./Entry.ts"

/** An entry with its place in memory. */
export interface Slot {
  readonly key: string
  readonly entry: CacheEntry
  /** Since when it lives, by `Monotonic`'s time as the other times here: what was read from elsewhere was old then. */
  readonly storedAtMillis: number
  /** Until when it may be given, as stale. */
  readonly keepUntilMillis: number
  usedAtMillis: number
  /** Refreshes that failed put off the next one to here. */
  refreshFromMillis: number
}

export class CacheMemory {
  bytes = 0
  private readonly slots = new RecentlyUsed<Slot>(Infinity)
  private readonly capacity: number
  private readonly maxBytes: number

  constructor(capacity: number, maxBytes: number) {
    this.capacity = capacity
    this.maxBytes = maxBytes
  }

  get size(): number {
    return this.slots.size
  }

  /** The slot of a key, which does not count as its use. */
  peek(key: string): Slot | undefined {
    return this.slots.peek(key)
  }

  /** The slot of a key, which counts as its use. What has expired is dropped. */
  get(key: string, now: number): Slot | undefined {
    const slot = this.slots.get(key)
    if (slot === undefined) return undefined
    if (slot.keepUntilMillis <= now) {
      this.delete(key)
      return undefined
    }
    slot.usedAtMillis = now
    return slot
  }

  /** Keeps an entry of some age for the rest of `keepMillis`, unless a newer one is there. */
  set(key: string, entry: CacheEntry, ageMillis: number, keepMillis: number, now: number): void {
    if (ageMillis >= keepMillis || entry.bytes > this.maxBytes) return
    const storedAtMillis = now - ageMillis
    const present = this.slots.peek(key)
    if (present !== undefined && present.storedAtMillis > storedAtMillis) return
    this.delete(key)
    const keepUntilMillis = storedAtMillis + keepMillis
    this.slots.set(key, { key, entry, storedAtMillis, keepUntilMillis, usedAtMillis: now, refreshFromMillis: now })
    this.bytes += entry.bytes
    while (this.slots.size > this.capacity || this.bytes > this.maxBytes) {
      this.bytes -= this.slots.dropOldest().entry.bytes
    }
  }

  delete(key: string): void {
    const slot = this.slots.peek(key)
    if (slot === undefined) return
    this.slots.delete(key)
    this.bytes -= slot.entry.bytes
  }

  clear(): void {
    this.slots.clear()
    this.bytes = 0
  }

  /** Drops what has expired, and what nobody used since `unusedSince`; says how many. */
  evict(now: number, unusedSince: number): number {
    const before = this.slots.size
    for (const [key, slot] of this.slots) {
      if (slot.keepUntilMillis <= now || slot.usedAtMillis < unusedSince) this.delete(key)
    }
    return before - this.slots.size
  }

  /** What has not expired, the one not used for longest first. */
  live(now: number): Array<Slot> {
    return Array.from(this.slots, ([, slot]) => slot).filter((slot) => slot.keepUntilMillis > now)
  }
}
