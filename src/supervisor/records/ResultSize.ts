/**
 * Estimates how much memory a job's result keeps, cheaply enough to be done once for each job that ends.
 *
 * It looks at about {@link maxLooks} values, which the parts of an object or a list share, so that a large part does not hide
 * the others. What it does not look at of a large list is taken to be like what it has seen of it, from the first to the
 * last. Strings count two bytes a character, and a view of a buffer counts the whole buffer, which it keeps.
 *
 * Errors among them let go of the frames of their stacks, which may hold more than anything else: see `ErrorFrames`.
 *
 * What it cannot see counts next to nothing: private fields, what a function closes over, what stands behind a getter, and
 * what is nested deeper than its looks reach. The keys of an object are listed all at once, which takes about a microsecond
 * for each.
 */
import { Cause, Exit } from "effect"
import * as ErrorFrames from "./ErrorFrames.ts"

const maxLooks = 256

/** What a value counts that cannot be looked into, an error with its stack among them. */
const opaque = 1_024

/** More than this is not told apart, so that sums of very many are exact. */
const most = 2 ** 40

/**
 * The bytes of a result, roughly, as a whole number: 0 for what needs no memory of its own. Never throws, and calls no getter.
 */
export const estimate = (exit: Exit.Exit<unknown, unknown>): number => {
  return Exit.isSuccess(exit) ? bytesOf(exit.value) : ofCause(exit.cause)
}

/** The bytes of what a `Cause` holds, in the same way. */
export const ofCause = (cause: Cause.Cause<unknown>): number => {
  let bytes = 0
  for (const reason of cause.reasons) {
    bytes += Cause.isFailReason(reason) ? bytesOf(reason.error) : Cause.isDieReason(reason) ? bytesOf(reason.defect) : 0
  }
  return Math.min(most, bytes)
}

const bytesOf = (value: unknown): number => {
  if (typeof value === "string") return 2 * value.length
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return 0
  try {
    return whole(new Look().bytes(value, maxLooks))
  } catch {
    return opaque
  }
}

// What is given back is added and taken away again many times, and a fraction would not come out even. Proxies say of
// themselves what they like.
const whole = (bytes: number): number => (bytes >= 0 ? Math.ceil(Math.min(most, bytes)) : opaque)

class Look {
  // Also what goes round in a circle is counted once.
  private readonly seen = new Set<object>()
  private looked = 0

  /** Looks at `looks` values at most, but at each string that stands directly in what it looks at. */
  bytes(value: unknown, looks: number): number {
    if (typeof value === "string") return 16 + 2 * value.length
    if (typeof value === "function") return 64
    if (typeof value !== "object" || value === null || this.seen.has(value)) return 8
    this.seen.add(value)
    if (ArrayBuffer.isView(value)) return 64 + this.bytes(own(value instanceof DataView ? viewed : typed, value), looks)
    if (value instanceof ArrayBuffer) return 64 + own(length, value)
    if (value instanceof SharedArrayBuffer) return 64 + value.byteLength
    if (Array.isArray(value)) return 16 + this.like(spread(value, looks), value.length, looks)
    if (value instanceof Map) {
      return 16 + this.like(firstOf(Map.prototype.entries.call(value), looks).flat(), 2 * own(mapSize, value), looks)
    }
    if (value instanceof Set) {
      return 16 + this.like(firstOf(Set.prototype.values.call(value), looks), own(setSize, value), looks)
    }
    if (value instanceof Error) ErrorFrames.release(value)
    // What an error says and why are no keys of it.
    const keys = value instanceof Error ? [...Object.keys(value), "message", "cause"] : Object.keys(value)
    const fields = spread(keys, Math.max(looks, leastFields)).map((key) => valueOf(value, key))
    return (value instanceof Error ? opaque : 24) + this.like(fields, keys.length, looks)
  }

  // What `count` values need of which some are given, when the others are like them.
  private like(some: ReadonlyArray<unknown>, count: number, looks: number): number {
    if (some.length === 0) return 0
    let bytes = 8 * some.length
    const nested: Array<object> = []
    for (const each of some) {
      if (typeof each === "object" && each !== null) nested.push(each)
      else bytes += this.bytes(each, 0)
    }
    return ((bytes + this.all(nested, looks - (some.length >> 3))) / some.length) * count
  }

  // Each gets its share of the looks, and what those before it did not use.
  private all(nested: ReadonlyArray<object>, looks: number): number {
    if (nested.length === 0) return 0
    const some = spread(nested, Math.max(looks >> 2, leastFields))
    this.looked += some.length
    const until = this.looked + looks - some.length
    let bytes = 0
    for (const [n, each] of some.entries()) {
      const share = Math.floor((until - this.looked) / (some.length - n))
      bytes += share > 0 ? this.bytes(each, share) : 8
    }
    return (bytes / some.length) * nested.length
  }
}

/** So many fields of an object are looked at in any case, for the large one may be any of them. */
const leastFields = 16

/** At most so many of a list, from the first to the last of them. A copy, for a list may have an iterator of its own. */
const spread = <A>(list: ReadonlyArray<A>, atMost: number): ReadonlyArray<A> => {
  // Each place is one in the list.
  if (list.length <= atMost) return Array.from({ length: list.length }, (_, n) => list[n] as A)
  const step = atMost <= 1 ? 0 : (list.length - 1) / (atMost - 1)
  return Array.from({ length: Math.max(1, atMost) }, (_, n) => list[Math.floor(n * step)] as A)
}

const firstOf = <A>(values: Iterator<A>, atMost: number): Array<A> => {
  const some: Array<A> = []
  for (let n = 0, next = values.next(); n < atMost && next.done !== true; n++, next = values.next())
    some.push(next.value)
  return some
}

const valueOf = (object: object, key: string): unknown => Object.getOwnPropertyDescriptor(object, key)?.value

// How much of it there is, by the engine: a class may say something else of its objects.
const own = <A>(get: (this: unknown) => A, value: object): A => get.call(value)

const getterOf = <A>(prototype: object, key: string): ((this: unknown) => A) => {
  const get: (() => A) | undefined = Object.getOwnPropertyDescriptor(prototype, key)?.get
  if (get === undefined) throw new TypeError(`${key} is no getter`)
  return get
}

const mapSize = getterOf<number>(Map.prototype, "size")
const setSize = getterOf<number>(Set.prototype, "size")
const length = getterOf<number>(ArrayBuffer.prototype, "byteLength")
const viewed = getterOf<ArrayBufferLike>(DataView.prototype, "buffer")
const typed = getterOf<ArrayBufferLike>(Object.getPrototypeOf(Uint8Array.prototype), "buffer")
