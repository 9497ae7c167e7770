/**
 * Learns how long calls take once they have been let in: the *service time* of queueing theory.
 *
 * It looks at the last 32 calls that ended within the last half minute, and knows nothing before there are three. What
 * is older is forgotten, so that a slow spell which made it refuse calls cannot go on refusing them for ever.
 */

/** Calls looked at. */
const most = 32

/** Calls without which nothing is known. */
const fewest = 3

/** How long a call is looked at. */
const memoryMillis = 30_000

export class ServiceTime {
  private readonly millis = new Float64Array(most)
  private readonly endedAt = new Float64Array(most).fill(-Infinity)
  private readonly sorted = new Float64Array(most)
  private next = 0

  /** What calls took on average, in milliseconds: the speed at which a queue moves on. 0 when not known. */
  average = 0

  /**
   * What three of four calls took at least, in milliseconds: with less time than that, a call is not worth sending. Half
   * would be too many when short and long calls are mixed. 0 when not known.
   */
  expected = 0

  record(millis: number, now: number): void {
    this.millis[this.next] = millis
    this.endedAt[this.next] = now
    this.next = (this.next + 1) % most
  }

  /** Brings `average` and `expected` up to date. */
  learn(now: number): void {
    let count = 0
    let total = 0
    for (let n = 0; n < most; n++) {
      const millis = this.millis[n] ?? 0
      if (now - (this.endedAt[n] ?? -Infinity) > memoryMillis) continue
      this.sorted[count++] = millis
      total += millis
    }
    const isKnown = count >= fewest
    this.average = isKnown ? total / count : 0
    this.expected = isKnown ? (this.sorted.subarray(0, count).sort()[count >> 2] ?? 0) : 0
  }
}
