/**
 * Keeps entries by key in the order of their use, and makes room by dropping the least recently used one that may go.
 */

/** Entries looked at to make room, so that many which must be kept do not make each insertion slow. */
const mostLooks = 16

export class RecentlyUsed<Value> {
  // In the order of use: a `Map` gives its entries as they were set.
  private readonly entries = new Map<string, Value>()
  // At the first of them. A new iterator would pass by all that were deleted lately.
  private oldest = this.entries.entries()
  private latest: { readonly key: string; readonly value: Value } | undefined
  private readonly capacity: number
  private readonly mayDrop: (value: Value) => boolean

  /** `mayDrop` says whether an entry may be forgotten now. Default: every entry may. */
  constructor(capacity: number, mayDrop: (value: Value) => boolean = () => true) {
    this.capacity = capacity
    this.mayDrop = mayDrop
  }

  get size(): number {
    return this.entries.size
  }

  /** Gives the value of a key, and counts that as a use. */
  get(key: string): Value | undefined {
    if (this.latest?.key === key) return this.latest.value
    const value = this.entries.get(key)
    if (value === undefined) return undefined
    this.putLast(key, value)
    return value
  }

  has(key: string): boolean {
    return this.latest?.key === key || this.entries.has(key)
  }

  /** Gives the value of a key without using it. */
  peek(key: string): Value | undefined {
    return this.entries.get(key)
  }

  /** Keeps a value as the one used last. */
  set(key: string, value: Value): void {
    this.putLast(key, value)
  }

  /** Drops entries that may go until there is room for one more; false when none was found that may. */
  makeRoom(): boolean {
    for (let looks = 0; this.entries.size >= this.capacity && looks < mostLooks; looks++) {
      const [key, candidate] = this.next()
      if (this.mayDrop(candidate)) this.delete(key)
    }
    return this.entries.size < this.capacity
  }

  delete(key: string): void {
    this.entries.delete(key)
    if (this.latest?.key === key) this.latest = undefined
  }

  /** Drops the least recently used entry, whatever it holds, and gives it. There must be one. */
  dropOldest(): Value {
    const [key, value] = this.next()
    this.delete(key)
    return value
  }

  clear(): void {
    this.entries.clear()
    this.latest = undefined
  }

  /** Keys and values, the least recently used first. */
  [Symbol.iterator](): IterableIterator<[string, Value]> {
    return this.entries.entries()
  }

  private putLast(key: string, value: Value): void {
    if (this.latest?.key === key) this.entries.set(key, value)
    else this.moveLast(key, value)
    this.latest = { key, value }
  }

  private moveLast(key: string, value: Value): void {
    this.entries.delete(key)
    this.entries.set(key, value)
  }

  private next(): [string, Value] {
    for (;;) {
      const next = this.oldest.next()
      if (next.done !== true) return next.value
      this.oldest = this.entries.entries()
    }
  }
}
