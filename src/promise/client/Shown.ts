/**
 * Shows what a client gives as what it is, and nothing of what stands behind it: a runtime with all its services, what was asked
 * and what was answered.
 */
import { Equal, Inspectable } from "effect"

export abstract class Shown {
  /** What it is called where it is printed. */
  protected abstract readonly shownAs: string

  constructor() {
    // What stands behind it changes: it would be a different key of a map after each call.
    Equal.byReferenceUnsafe(this)
  }

  /** All that JSON and logs say of it. */
  toJSON(): object {
    return {}
  }

  [Inspectable.NodeInspectSymbol](
    _depth: number,
    options: object,
    inspect?: (value: unknown, options: object) => string
  ): unknown {
    return inspect === undefined ? this.toJSON() : `${this.shownAs} ${inspect(this.toJSON(), options)}`
  }
}
