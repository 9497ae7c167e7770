/**
 * Estimates quantiles of the latest latencies in constant space.
 *
 * Latencies are counted in buckets whose bounds grow by 4 %, so that an estimate is a true latency or above it by 4 % at
 * most, much as in DDSketch (Masson, Rim, Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error
 * Guarantees", VLDB 2019, https://arxiv.org/abs/1908.10693). A ring of the buckets of the latest samples says which to
 * forget.
 */

const growth = Math.log(1.04)
// Up to an hour; what takes longer counts as an hour.
const buckets = Math.ceil(Math.log(3_600_000) / growth) + 1
/** How many buckets double a latency. */
const doubling = Math.ceil(Math.LN2 / growth)

export class LatencyWindow {
  /** Samples it holds. */
  size = 0
  private readonly counts = new Uint32Array(buckets)
  private readonly ring: Uint16Array
  private at = 0

  constructor(capacity: number) {
    this.ring = new Uint16Array(capacity)
  }

  /** Takes in one latency; below a millisecond all are the same. */
  add(millis: number): void {
    const bucket = millis <= 1 ? 0 : Math.min(buckets - 1, Math.ceil(Math.log(millis) / growth))
    if (this.size < this.ring.length) this.size++
    else this.count(this.ring[this.at] ?? 0, -1)
    this.count(bucket, 1)
    this.ring[this.at] = bucket
    this.at = (this.at + 1) % this.ring.length
  }

  /** The latency in milliseconds that a share of the samples, 0 to 1, does not exceed; 0 when there are none. */
  quantile(share: number): number {
    return this.size === 0 ? 0 : upperBound(this.bucketOf(share))
  }

  /**
   * As {@link quantile}, but not beyond a gap. Where latencies more than double from one sample to the next, and the
   * quantile lies behind that gap by no more than a share of `slack`, chance decides on which side it comes to lie. This
   * is then in the gap, where hardly any sample is: half a doubling after its beginning.
   */
  quantileBeforeGap(share: number, slack: number): number {
    if (this.size === 0) return 0
    const end = this.bucketOf(share)
    let last = this.bucketOf(Math.max(0, share - slack))
    for (let bucket = last + 1; bucket <= end; bucket++) {
      if (this.counts[bucket] === 0) continue
      if (bucket - last > doubling) return upperBound(last) * Math.SQRT2
      last = bucket
    }
    return upperBound(end)
  }

  private bucketOf(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.size))
    let below = 0
    for (let bucket = 0; bucket < buckets; bucket++) {
      below += this.counts[bucket] ?? 0
      if (below >= rank) return bucket
    }
    return buckets - 1
  }

  private count(bucket: number, by: number): void {
    this.counts[bucket] = (this.counts[bucket] ?? 0) + by
  }
}

const upperBound = (bucket: number): number => Math.exp(bucket * growth)
