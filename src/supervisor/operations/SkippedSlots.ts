/**
 * Finds the next slot of a cron also where the clocks are put forward before it.
 *
 * `Cron.next` makes a slot of the first time of day that is left out, passes over the others, and over what comes soon after: of
 * 2:15 and 2:45 it is 3:15. Here each comes as much later, and none for a cron of every hour, which has those that there are.
 */
import { Cron, DateTime, Option } from "effect"

const day = 86_400_000

/** Clocks that are put forward and back again within it, as for a month of fasting in Morocco, are seen. */
const stride = 7 * day

export const isOfEveryHour = ({ hours }: Cron.Cron): boolean => hours.size === 0 || hours.size === 24

export class SkippedSlots {
  private readonly cron: Cron.Cron
  private readonly zone: DateTime.TimeZone | undefined
  // The same times of day, where each day has them all.
  private readonly ofAnyDay: Cron.Cron
  // Not further back than clocks are put forward: slots that come later are of before that.
  private readonly lookBack: number
  // Between which moments the clocks are not put forward, as far as was looked: most slots cost no look at a zone.
  private steady = { from: 0, to: 0 }

  constructor(cron: Cron.Cron) {
    this.cron = cron
    this.zone = Option.getOrUndefined(cron.tz)
    this.ofAnyDay = changed(cron, { tz: Option.some(DateTime.zoneMakeNamedUnsafe("UTC")) })
    this.lookBack = isOfEveryHour(cron) ? 0 : day
  }

  /** The first slot after a moment. */
  next(millis: number): number {
    let next = Cron.next(this.cron, millis).getTime()
    const start = millis - this.lookBack
    if (start >= this.steady.from && next < this.steady.to) return next
    let to = start
    let isSteady = true
    for (let from = start; from <= next; from = to) {
      to = from + stride
      const offset = this.offsetAt(from)
      const change = this.offsetAt(to) - offset
      if (change <= 0) continue
      const at = this.changeWithin(from, to, offset)
      if (at > next) {
        to = at
        break
      }
      isSteady = false
      // On a clock that was not put forward.
      const skipped = this.onClock(offset, Math.max(at, millis + 1))
      const isSkipped = this.lookBack > 0 && skipped > millis && skipped < at + change
      if (at > millis && this.onClock(offset, millis + 1) >= at) {
        const isAt = this.onClock(offset + change, at) === at
        next = isAt ? at : Cron.next(this.cron, at).getTime()
      }
      if (isSkipped) next = Math.min(next, skipped)
    }
    if (isSteady) this.steady = { from: start, to }
    return next
  }

  /** The first slot from a moment on, on a clock that is ahead by an offset. */
  private onClock(offset: number, millis: number): number {
    return Cron.next(this.ofAnyDay, millis + offset - 1).getTime() - offset
  }

  private offsetAt(millis: number): number {
    return DateTime.zonedOffset(DateTime.makeZonedUnsafe(millis, { timeZone: this.zone }))
  }

  // The first moment at which the offset is another one.
  private changeWithin(from: number, to: number, offset: number): number {
    let [last, first] = [from, to]
    while (first - last > 1) {
      const middle = Math.floor((last + first) / 2)
      if (this.offsetAt(middle) === offset) last = middle
      else first = middle
    }
    return first
  }
}

/** A copy with something else in it, for `Cron.make` takes a part of it that its type does not show. */
export const changed = (cron: Cron.Cron, changes: Partial<Cron.Cron>): Cron.Cron => {
  const copy: Cron.Cron = Object.create(Object.getPrototypeOf(cron))
  return Object.assign(copy, cron, changes)
}
