/**
 * Holds entries in memory, bounded by their number and their bytes; the one not used for longest goes first.
 */
import type { CacheEntry } from "./Entry.ts"

/** An entry with its place in memory. */
export interface Slot {
  readonly key: string
  readonly entry: CacheEntry
  /** Until when it may be given, as stale: milliseconds since 1970. */
  readonly keepUntilMillis: number
  usedAtMillis: number
  /** Refreshes that failed put off the next one to here. */
  refreshFromMillis: number
}

export class CacheMemory {
  bytes = 0
  // In the order of use: a `Map` gives its entries as they were set.
  private readonly slots = new Map<string, Slot>()
  // At the first of them. A new iterator would pass by all that were deleted lately.
  private oldest = this.slots.keys()
  private readonly capacity: number
  private readonly maxBytes: number

  constructor(capacity: number, maxBytes: number) {
    this.capacity = capacity
    this.maxBytes = maxBytes
  }

  get size(): number {
    return this.slots.size
  }

  /** The slot of a key, which counts as its use. What has expired is dropped. */
  get(key: string, now: number): Slot | undefined {
    const slot = this.slots.get(key)
    if (slot === undefined) return undefined
    this.slots.delete(key)
    if (slot.keepUntilMillis <= now) {
      this.bytes -= slot.entry.bytes
      return undefined
    }
    slot.usedAtMillis = now
    this.slots.set(key, slot)
    return slot
  }

  /** Keeps an entry, unless a newer one is there. */
  set(key: string, entry: CacheEntry, keepUntilMillis: number, now: number): void {
    if (keepUntilMillis <= now || entry.bytes > this.maxBytes) return
    const present = this.slots.get(key)
    if (present !== undefined && present.entry.storedAtMillis > entry.storedAtMillis) return
    this.delete(key)
    this.slots.set(key, { key, entry, keepUntilMillis, usedAtMillis: now, refreshFromMillis: 0 })
    this.bytes += entry.bytes
    while (this.slots.size > this.capacity || this.bytes > this.maxBytes) {
      const oldest = this.oldest.next()
      if (oldest.done === true) this.oldest = this.slots.keys()
      else this.delete(oldest.value)
    }
  }

  delete(key: string): void {
    const slot = this.slots.get(key)
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
    return [...this.slots.values()].filter((slot) => slot.keepUntilMillis > now)
  }
}
