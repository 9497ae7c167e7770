/**
 * Keeps state by key, for so many keys at most, and forgets none that still matters.
 *
 * A new key takes the place of one whose state is as if it had never been. While there is none, all keys that are new share
 * one more state. So whoever invents keys uses up no memory, frees nobody's limit, and is in nobody's way who has a state
 * already.
 */
import { RecentlyUsed } from "./RecentlyUsed.ts"

export class KeptKeys<Value> {
  private readonly own: RecentlyUsed<Value>
  private others: Value | undefined
  private readonly isClear: (value: Value) => boolean

  /** `isClear` says whether a state is as if it had never been: no debt, no opening, nobody waiting or under way. */
  constructor(capacity: number, isClear: (value: Value) => boolean) {
    this.own = new RecentlyUsed(capacity, isClear)
    this.isClear = isClear
  }

  /** Where a key's state is kept, or is to be: at the key, or at `undefined` with all for whom there is no room. */
  placeOf(key: string): string | undefined {
    return this.own.has(key) || this.own.makeRoom() ? key : undefined
  }

  /** The state at a place, if there is one. */
  get(place: string | undefined): Value | undefined {
    return place === undefined ? this.shared : this.own.get(place)
  }

  /** The state of a key, without making room for one. */
  peek(key: string): Value | undefined {
    return this.own.peek(key)
  }

  set(place: string | undefined, value: Value): void {
    if (place === undefined) this.others = value
    else this.own.set(place, value)
  }

  delete(place: string | undefined): void {
    if (place === undefined) this.others = undefined
    else this.own.delete(place)
  }

  /** What keys without a place of their own share, while it matters to anybody. */
  get shared(): Value | undefined {
    if (this.others !== undefined && this.isClear(this.others)) this.others = undefined
    return this.others
  }

  /** Every state, the least recently used first. */
  get values(): Array<Value> {
    const values = Array.from(this.own, ([, value]) => value)
    return this.others === undefined ? values : [...values, this.others]
  }
}
