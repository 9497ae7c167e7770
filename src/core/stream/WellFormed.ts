/**
 * Makes any stream of response parts one well-formed stream: each block has one start and one end, deltas only come in
 * between, and the last part is the only `finish`.
 *
 * Providers forget ends, send deltas of blocks they never opened, and stop in the middle. Everything above relies on
 * the shape, so it is enforced once, here.
 */
import { Stream } from "effect"
import { AiError, type Response } from "effect/ai"
import * as CallError from "../call/CallError.ts"

type Part = Response.StreamPartEncoded

/** A block that has begun and not ended. */
interface Block {
  readonly kind: "text" | "reasoning" | "tool-params"
  readonly id: string
}

/** The blocks that are open, in the order in which they began, and whether the answer has finished. */
class State {
  isFinished = false
  private readonly open = new Map<string, Block>()

  has(kind: Block["kind"], id: string): boolean {
    return this.open.has(keyOf(kind, id))
  }

  begin(kind: Block["kind"], id: string): void {
    this.open.set(keyOf(kind, id), { kind, id })
  }

  /** Ends a block, and says whether it was open. */
  end(kind: Block["kind"], id: string): boolean {
    return this.open.delete(keyOf(kind, id))
  }

  endAll(): ReadonlyArray<Part> {
    const ends = [...this.open.values()].map(endOf)
    this.open.clear()
    return ends
  }
}

/** No kind has a colon in it. */
const keyOf = (kind: Block["kind"], id: string): string => `${kind}:${id}`

const endOf = ({ id, kind }: Block): Part => ({ type: `${kind}-end`, id })

/**
 * Takes one part and puts into `sent` what to send instead. Its cost does not grow with the blocks that are open.
 *
 * Missing starts and ends are added, ends of nothing are dropped, and nothing follows `finish`. A delta of a tool's
 * parameters without its start is dropped, because only the start names the tool; the tool call itself has them all.
 */
const step = (state: State, part: Part, sent: Array<Part>): void => {
  if (state.isFinished) return
  switch (part.type) {
    case "text-start":
      return begin(state, "text", part, sent)
    case "reasoning-start":
      return begin(state, "reasoning", part, sent)
    case "tool-params-start":
      return begin(state, "tool-params", part, sent)
    case "text-delta":
    case "reasoning-delta": {
      const kind = part.type === "text-delta" ? "text" : "reasoning"
      if (!state.has(kind, part.id)) {
        state.begin(kind, part.id)
        sent.push({ type: `${kind}-start`, id: part.id })
      }
      sent.push(part)
      return
    }
    case "tool-params-delta":
      if (state.has("tool-params", part.id)) sent.push(part)
      return
    case "text-end":
      if (state.end("text", part.id)) sent.push(part)
      return
    case "reasoning-end":
      if (state.end("reasoning", part.id)) sent.push(part)
      return
    case "tool-params-end":
      if (state.end("tool-params", part.id)) sent.push(part)
      return
    case "tool-call":
      if (state.end("tool-params", part.id)) sent.push({ type: "tool-params-end", id: part.id })
      sent.push(part)
      return
    case "finish":
      for (const end of state.endAll()) sent.push(end)
      state.isFinished = true
      sent.push(part)
      return
    default:
      sent.push(part)
  }
}

const begin = (state: State, kind: Block["kind"], part: Part & { readonly id: string }, sent: Array<Part>): void => {
  if (state.end(kind, part.id)) sent.push(endOf({ kind, id: part.id }))
  state.begin(kind, part.id)
  sent.push(part)
}

/**
 * Enforces the shape on a stream. Fails with a retryable `InternalProviderError` when it ends without `finish`: what
 * arrived so far is then only a part of the answer.
 */
export const enforce = <E, R>(
  self: Stream.Stream<Part, E, R>,
  module: string
): Stream.Stream<Part, E | AiError.AiError, R> =>
  Stream.suspend(() => {
    const state = new State()
    return self.pipe(
      Stream.mapAccumArray(
        () => state,
        (state, parts) => {
          const sent: Array<Part> = []
          for (const part of parts) step(state, part, sent)
          return [state, sent]
        }
      ),
      Stream.concat(Stream.suspend(() => (state.isFinished ? Stream.empty : Stream.fail(cutShort(module)))))
    )
  })

/** Whether the parts of a whole stream have the shape: enforcing it would change nothing. */
export const holds = (parts: ReadonlyArray<Part>): boolean => {
  const state = new State()
  const sent: Array<Part> = []
  for (const part of parts) step(state, part, sent)
  return state.isFinished && sent.length === parts.length && sent.every((part, index) => part === parts[index])
}

/** The error of a stream that stopped in the middle of an answer. */
export const cutShort = (module: string): AiError.AiError =>
  CallError.make({
    module,
    method: "streamText",
    reason: new AiError.InternalProviderError({ description: "the stream ended before the answer was finished" })
  })
