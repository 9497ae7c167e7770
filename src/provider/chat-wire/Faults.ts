/**
 * What can be wrong with an answer, found while it is read. Thrown by the readers, which are plain functions, and made an
 * `AiError` at the one place where they are called.
 */
import { Data } from "effect"

/** The server says inside a good answer that it failed; `body` is what it said. */
export class Refused extends Data.TaggedError("Refused")<{ readonly body: unknown }> {}

/** The answer arrived and makes no sense. */
export class Unreadable extends Data.TaggedError("Unreadable")<{ readonly because: string }> {
  override get message(): string {
    return this.because
  }
}

/** The answer is more than it may be. */
export class BeyondLimit extends Data.TaggedError("BeyondLimit")<{
  readonly limit: string
  readonly allowed: number
  readonly because: string
}> {
  override get message(): string {
    return `${this.because} (${this.limit} is ${this.allowed})`
  }
}

/** The answer stopped before it was finished. */
export class Cut extends Data.TaggedError("Cut")<{}> {}

/** The connection was not made, or was lost. */
export class ConnectionFailed extends Data.TaggedError("ConnectionFailed")<{
  readonly message: string
  readonly url: string
  readonly code?: string
}> {}

/** What a server named so. A name that is longer than names are may be anything, and is not said. */
export const named = (kind: string, name: string): string =>
  name.length <= longestName ? `the ${kind} ${JSON.stringify(name)}` : `a ${kind}`

const longestName = 64
