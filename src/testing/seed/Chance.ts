/**
 * Draws numbers from a seed: fast, and the same ones in every process.
 */
import type { Random } from "effect"

export class Chance implements Random.Random {
  private state: number

  /** Seeds that differ in one bit give unrelated numbers. */
  constructor(seed: number) {
    this.state = Math.imul(seed ^ (seed / 2 ** 32), 0x9e3779b1) ^ 0x85ebca6b
  }

  /** A number from 0 up to 1, without 1. */
  next(): number {
    // Mulberry32.
    this.state = (this.state + 0x6d2b79f5) | 0
    let bits = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from 0 up to `limit`, without it. */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  /** True once in so many times. */
  onceIn(times: number): boolean {
    return this.below(times) === 0
  }

  oneOf<const A>(choices: readonly [A, ...ReadonlyArray<A>]): A {
    return choices[this.below(choices.length)] ?? choices[0]
  }

  nextDoubleUnsafe(): number {
    return this.next()
  }
  nextIntUnsafe(): number {
    return this.below(2 ** 32) * 2 ** 21 + this.below(2 ** 21)
  }
}
