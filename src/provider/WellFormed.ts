/**
 * Makes any stream of response parts one well-formed stream: each block has one start and one end, deltas only come in
 * between, and the last part is the only `finish`.
 *
 * Providers forget ends, send deltas of blocks they never opened, and stop in the middle. Everything above relies on
 * the shape, so it is enforced once, here.
 */
import { Stream } from "effect"
import { AiError, type Response } from "effect/ai"

type Part = Response.StreamPartEncoded

/** A block that has begun and not ended. */
export interface Block {
  readonly kind: "text" | "reasoning" | "tool-params"
  readonly id: string
}

/** The blocks that are open, in the order in which they began, and whether the answer has finished. */
export interface State {
  readonly open: ReadonlyArray<Block>
  readonly finished: boolean
}

/** Where every stream begins: nothing open, not finished. */
const initial: State = { open: [], finished: false }

/**
 * Takes one part and returns what to send instead.
 *
 * Missing starts and ends are added, ends of nothing are dropped, and nothing follows `finish`. A delta of a tool's
 * parameters without its start is dropped, because only the start names the tool; the tool call itself has them all.
 */
const step = (state: State, part: Part): readonly [State, ReadonlyArray<Part>] => {
  if (state.finished) return [state, []]
  switch (part.type) {
    case "text-start":
      return begin(state, { kind: "text", id: part.id }, part)
    case "reasoning-start":
      return begin(state, { kind: "reasoning", id: part.id }, part)
    case "tool-params-start":
      return begin(state, { kind: "tool-params", id: part.id }, part)
    case "text-delta":
      return isOpen(state, "text", part.id)
        ? [state, [part]]
        : [opened(state, { kind: "text", id: part.id }), [{ type: "text-start", id: part.id }, part]]
    case "reasoning-delta":
      return isOpen(state, "reasoning", part.id)
        ? [state, [part]]
        : [opened(state, { kind: "reasoning", id: part.id }), [{ type: "reasoning-start", id: part.id }, part]]
    case "tool-params-delta":
      return [state, isOpen(state, "tool-params", part.id) ? [part] : []]
    case "text-end":
      return end(state, "text", part)
    case "reasoning-end":
      return end(state, "reasoning", part)
    case "tool-params-end":
      return end(state, "tool-params", part)
    case "tool-call": {
      const [next, ends] = close(state, (block) => block.kind === "tool-params" && block.id === part.id)
      return [next, [...ends, part]]
    }
    case "finish": {
      const [next, ends] = close(state, () => true)
      return [{ ...next, finished: true }, [...ends, part]]
    }
    default:
      return [state, [part]]
  }
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
    let last = initial
    return self.pipe(
      Stream.mapAccumArray(
        () => initial,
        (state, parts) => {
          const [next, sent] = stepAll(state, parts)
          last = next
          return [next, sent]
        }
      ),
      Stream.concat(Stream.suspend(() => (last.finished ? Stream.empty : Stream.fail(cutShort(module)))))
    )
  })

const stepAll = (state: State, parts: ReadonlyArray<Part>): readonly [State, ReadonlyArray<Part>] => {
  const sent: Array<Part> = []
  let current = state
  for (const part of parts) {
    const [next, out] = step(current, part)
    current = next
    sent.push(...out)
  }
  return [current, sent]
}

/** The error of a stream that stopped in the middle of an answer. */
export const cutShort = (module: string): AiError.AiError =>
  AiError.make({
    module,
    method: "streamText",
    reason: new AiError.InternalProviderError({ description: "the stream ended before the answer was finished" })
  })

const isOpen = (state: State, kind: Block["kind"], id: string): boolean =>
  state.open.some((block) => block.kind === kind && block.id === id)

const opened = (state: State, block: Block): State => ({ ...state, open: [...state.open, block] })

const begin = (state: State, block: Block, part: Part): readonly [State, ReadonlyArray<Part>] => {
  const [next, ends] = close(state, (each) => each.kind === block.kind && each.id === block.id)
  return [opened(next, block), [...ends, part]]
}

const end = (
  state: State,
  kind: Block["kind"],
  part: Extract<Part, { readonly type: `${Block["kind"]}-end` }>
): readonly [State, ReadonlyArray<Part>] => {
  const [next, ends] = close(state, (block) => block.kind === kind && block.id === part.id)
  return [next, ends.length === 0 ? [] : [part]]
}

const close = (state: State, which: (block: Block) => boolean): readonly [State, ReadonlyArray<Part>] => [
  { ...state, open: state.open.filter((block) => !which(block)) },
  state.open.filter(which).map((block): Part => ({ type: `${block.kind}-end`, id: block.id }))
]
