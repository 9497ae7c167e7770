/**
 * The promise about requests: what is sent is what the caller asked.
 */
import type { Law } from "./Law.ts"
import { isSharing } from "./OfAttempts.ts"
import type { Asked } from "./Requests.ts"
import type { AttemptSeen, Trace } from "./Trace.ts"

/**
 * Every attempt, whoever makes it, has its caller's prompt, tools, choice of tools and form of the answer. A further attempt
 * that is to go on from a text, or to mend an answer, has that after its caller's messages, and what was wrong with it.
 */
export const requestsArriveUnchanged: Law = {
  name: "requestsArriveUnchanged",
  breaches: (trace) => {
    const begun = new Set<string | number>()
    // Callers that share an attempt make further ones each for himself.
    const shares = isSharing(trace)
    return trace.attempts.flatMap((attempt) => {
      const of = (shares ? trace.calls[attempt.call]?.key : undefined) ?? attempt.call
      const isFurther = begun.has(of)
      begun.add(of)
      return changed(attempt, isFurther, trace)
    })
  }
}

const changed = (
  { asked: sent, call: of, number }: AttemptSeen,
  isFurther: boolean,
  { calls, probes }: Trace
): ReadonlyArray<string> => {
  const asked = (calls[of] ?? probes[of - calls.length])?.asked
  // A policy that runs calls in fibers of its own, without their context, sends some caller's request.
  const allowed = asked === undefined ? [...calls, ...probes].map((call) => call.asked) : [asked]
  return allowed.some((each) => isSame(sent, each, isFurther))
    ? []
    : [
        `attempt ${number} asked ${said(sent)}, and its caller ${asked === undefined ? "nobody knows what" : said(asked)}`
      ]
}

const isSame = (sent: Asked, asked: Asked, isFurther: boolean): boolean => {
  const { length } = asked.messages
  const isContinued = isFurther && sent.messages[length]?.includes(`"role":"assistant"`) === true
  return (
    sent.options === asked.options &&
    (sent.messages.length === length || isContinued) &&
    asked.messages.every((message, index) => message === sent.messages[index])
  )
}

const said = ({ messages, options }: Asked): string => `${options} [${messages.join()}]`
