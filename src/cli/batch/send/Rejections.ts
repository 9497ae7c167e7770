/**
 * Tells a limit from single failures: some servers reject or fail a few requests for no limit that one could keep, and limits learned
 * from them would only slow a run down.
 *
 * Until a fifth of the last attempts were rejected, a rejection counts as that request's alone, which waits and tries again. From
 * then on the lane's limits hear of each. A server that tells its limit, or asks for a long wait, is believed at once. Of
 * faults the limits hear while they are a fifth; the circuit hears of all.
 */
import { Duration, Effect } from "effect"
import type { AiError } from "effect/ai"
import * as Failure from "../../../core/call/Failure.ts"
import * as PolicyReason from "../../../core/call/PolicyReason.ts"
import * as Verdict from "../../../core/call/Verdict.ts"
import type { Policy } from "../../../core/call/ModelProvider.ts"
import { RateLimit } from "../../../policy/index.ts"

const looked = 40
const many = 8
const longWait = Duration.seconds(5)

/** Errors that were kept from the limits, and those that stood for them there. */
const single = new WeakSet<AiError.AiError>()
const originals = new WeakMap<AiError.AiError, AiError.AiError>()

/** Whether a rejection was a single one, whose wait nobody keeps but its request. */
export const isSingle = (error: AiError.AiError): boolean => single.has(error)

/** Put it inside of what learns limits. */
export const hidden: Policy = (next) =>
  Effect.sync(() => {
    const last: Array<Verdict.Blame> = []
    let isLimited = false
    const isFrequent = (blame: Verdict.Blame): boolean => last.filter((each) => each === blame).length >= many
    const note = (blame: Verdict.Blame): void => {
      last.push(blame)
      if (last.length > looked) last.shift()
      isLimited ||= isFrequent("busy")
    }
    return {
      ...next,
      generateText: (request) =>
        Effect.matchEffect(next.generateText(request), {
          onSuccess: (parts) => {
            note("none")
            return Effect.succeed(parts)
          },
          onFailure: (error) => {
            const { blame, retryAfter } = Verdict.of(error)
            note(blame)
            if (blame === "fault") return Effect.fail(isFrequent("fault") ? error : standIn(error))
            const isTold = RateLimit.fromHeaders(Failure.headers(error), 0).length > 0
            const isLong = retryAfter !== undefined && Duration.isGreaterThan(retryAfter, longWait)
            return Effect.fail(blame !== "busy" || isLimited || isTold || isLong ? error : standIn(error))
          }
        })
    }
  })

/** Put it outside of what learns limits. */
export const shown: Policy = (next) =>
  Effect.succeed({
    ...next,
    generateText: (request) => Effect.mapError(next.generateText(request), (error) => originals.get(error) ?? error)
  })

const standIn = (error: AiError.AiError): AiError.AiError => {
  const description = "a single rejection"
  const reason = {
    _tag: "Custom",
    policy: "Rejections",
    description,
    retryable: true,
    blame: "none",
    facts: {}
  } as const
  const other = PolicyReason.toAiError("Rejections", reason)
  single.add(error)
  originals.set(other, error)
  return other
}
