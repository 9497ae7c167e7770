/**
 * Keeps the parameters of tool calls off the spans of calls.
 *
 * When a toolkit runs a tool, Effect writes its name and parameters onto the span it finds: that of the call, or of who reads
 * its stream. Spans go to other systems and are kept there, and the parameters may hold anything that was said.
 */
import { Effect, type Tracer } from "effect"

const seen = new WeakSet<Tracer.Span>()

/** From now on the present span takes all that is written to it but what is `parameters` right behind the name of a `tool`. */
export const withoutParameters: Effect.Effect<void> = Effect.ignore(
  Effect.map(Effect.currentSpan, (span) => guard(span))
)

const guard = (span: Tracer.Span): void => {
  if (seen.has(span)) return
  seen.add(span)
  const write = span.attribute.bind(span)
  let before = ""
  // A span that takes no property keeps what it is.
  Reflect.defineProperty(span, "attribute", {
    configurable: true,
    value: (key: string, value: unknown) => {
      const isParameters = key === "parameters" && before === "tool"
      before = key
      if (!isParameters) write(key, value)
    }
  })
}
