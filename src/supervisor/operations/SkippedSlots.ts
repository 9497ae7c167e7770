/**
 * Finds the slots of a cron whose time of day there is not, for the clocks are put forward over it: each comes as much later.
 *
 * `Cron.next` gives the first slot after the clocks were put forward, and passes over the others: of 2:15 and 2:45 it is 3:15.
 */
import { Cron, DateTime, Option } from "effect"

const day = 86_400_000

/** Clocks that are put forward and back again within it, as for a month of fasting in Morocco, are seen. */
const stride = 7 * day

export class SkippedSlots {
  private readonly zone: DateTime.TimeZone | undefined
  // The same times of day, where each day has them all.
  private readonly ofAnyDay: Cron.Cron

  constructor(cron: Cron.Cron) {
    this.zone = Option.getOrUndefined(cron.tz)
    this.ofAnyDay = changed(cron, { tz: Option.some(DateTime.zoneMakeNamedUnsafe("UTC")) })
  }

  /** The first of them after a moment, and before another. */
  after(millis: number, before: number): number | undefined {
    // Not further back than clocks are put forward.
    for (let from = millis - day; from < before; from += stride) {
      const to = Math.min(from + stride, before)
      const offset = this.offsetAt(from)
      const change = this.offsetAt(to) - offset
      if (change <= 0) continue
      const at = this.changeWithin(from, to, offset)
      // On a clock that was not put forward.
      const slot = Cron.next(this.ofAnyDay, Math.max(at, millis + 1) + offset - 1).getTime() - offset
      if (slot > millis && slot < Math.min(before, at + change)) return slot
    }
    return undefined
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
