/**
 * The promises about answers: what a caller gets is what a model said for it, whole and once.
 */
import type { Response } from "effect/ai"
import * as Failure from "../../core/call/Failure.ts"
import { AiError } from "effect/ai"
import * as Degrade from "../../policy/Degrade.ts"
import * as Fallback from "../../policy/Fallback.ts"
import type { Law } from "./Law.ts"
import { attemptsOf, isSharing } from "./OfAttempts.ts"
import type { AttemptSeen, CallSeen, Part, Trace } from "./Trace.ts"
import * as StreamShape from "../StreamShape.ts"

type Parts = ReadonlyArray<Part>

/**
 * A call that is answered at once is sent once, and its answer is returned as it came; policies that ask several models
 * at once do so openly, as `race` attempts.
 */
export const sentOnceAndUnchanged: Law = {
  name: "sentOnceAndUnchanged",
  breaches: (trace) =>
    trace.calls.flatMap((call) => {
      const made = attemptsOf(trace, call)
      const [first] = made
      if (trace.isLate || first?.origin !== "call" || !isAtOnce(first) || first.startMillis !== call.startMillis)
        return []
      // Whether an answer without content will do is for policies to say, and one that is not what was asked for.
      if (call.asked.isStructured && !isStructured(first.chunks.flat())) return []
      if (contentOf(first.chunks.flat()) === contentOf([]) || made.some(({ origin }) => origin === "race")) return []
      if (made.length > 1) return [`call ${call.number} was answered at once and sent ${made.length} times`]
      if (call.ended === "failed" && !isRefusedAnswer(call.error)) {
        return [`call ${call.number} was answered at once and failed with ${String(call.error)}`]
      }
      const [came, given] = [first.chunks.flat(), call.parts].map(written)
      return call.ended === "succeeded" && came !== given
        ? [`call ${call.number} was answered at once with ${came} and returned ${given}`]
        : []
    })
}

const isAtOnce = ({ ended, endMillis, startMillis }: AttemptSeen): boolean =>
  ended === "completed" && endMillis === startMillis

/** Whether an answer is what is said where an object is asked for, see the models. */
const isStructured = (parts: Parts): boolean =>
  /^{"said":"[^"]*"}$/.test(textOf(parts)) && parts.every(({ type }) => type !== "tool-call")

/**
 * Whether a policy turned away a complete answer, as it may: it will not do, or its reader was too slow. A
 * policy of an application's own says with `Custom` that it will not do.
 */
const isRefusedAnswer = (error: unknown): boolean => {
  const why = AiError.isAiError(error) ? Failure.decided(error)?._tag : undefined
  return why === "NotAcceptable" || why === "TimedOut" || why === "FellBehind" || why === "Custom"
}

/** Parts as JSON, without what Holdfast adds to the finish part. */
const written = (parts: Parts): string =>
  JSON.stringify(parts, (key, value: unknown) => (key === "metadata" ? undefined : value))

/**
 * A stream is one well-formed stream, also as far as it came when it fails. What is said is what one attempt said, or
 * what several said after each other that were asked to go on; after a restart only the last one counts.
 */
export const oneWellFormedStream: Law = {
  name: "oneWellFormedStream",
  breaches: (trace) =>
    trace.calls.flatMap((call) => {
      const { ended, number, parts, plan } = call
      const isWhole = ended === "succeeded"
      if (isDegraded(trace, call)) return []
      const wrong = plan.method === "streamText" ? malformation(parts, isWhole) : undefined
      if (wrong !== undefined) return [`call ${number} ${ended}: ${wrong}`]
      const story = new Story(trace, call)
      const segments = segmentsOf(parts)
      return segments.flatMap((segment, index) => {
        const isLast = index === segments.length - 1
        return (isLast && isWhole ? story.explains(segment) : story.explainsSome(textOf(segment)))
          ? []
          : [`call ${number} ${ended} with ${contentOf(segment)}, which no attempt said`]
      })
    })
}

/** Whether a policy answered in the models' place, for this call or for one it shares the answer with. */
const isDegraded = (trace: Trace, call: CallSeen): boolean =>
  Degrade.isDegraded(call.parts) ||
  relatedTo(trace, call).some(({ decisions }) => decisions.some(({ decision }) => decision._tag === "Degraded"))

/** The calls that a call may have its answer from. */
const relatedTo = (trace: Trace, call: CallSeen): ReadonlyArray<CallSeen> =>
  isSharing(trace) ? trace.calls.filter(({ key }) => key === call.key) : [call]

/** What is wrong with a stream; of one that did not come to its end, with what there is of it. */
const malformation = (parts: Parts, isWhole: boolean): string | undefined => {
  const streamed = parts as ReadonlyArray<Response.StreamPartEncoded>
  if (isWhole) return StreamShape.malformation(streamed)
  const ends: Array<Response.StreamPartEncoded> = []
  const open = new Set<string>()
  for (const part of streamed) {
    const [, kind, step] = /^(text|reasoning|tool-params)-(start|end)$/.exec(part.type) ?? []
    if (kind === undefined || !("id" in part)) continue
    open[step === "start" ? "add" : "delete"](`${kind} ${part.id}`)
  }
  for (const block of open) {
    const [kind, ...id] = block.split(" ")
    ends.push({ type: `${kind}-end`, id: id.join(" ") } as Response.StreamPartEncoded)
  }
  const isFinished = streamed.at(-1)?.type === "finish"
  return StreamShape.malformation([...streamed, ...ends, ...(isFinished ? [] : [finish])])
}

const finish: Response.StreamPartEncoded = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 0 }, outputTokens: { total: 0 } },
  response: undefined
}

/** The parts between restarts. */
const segmentsOf = (parts: Parts): ReadonlyArray<Parts> => {
  const segments: Array<Array<Part>> = [[]]
  for (const part of parts) {
    if (Fallback.isRestart(part)) segments.push([])
    else segments.at(-1)?.push(part)
  }
  return segments
}

const textOf = (parts: Parts): string =>
  parts.map((part) => (part.type === "text-delta" ? part.delta : part.type === "text" ? part.text : "")).join("")

/** What an answer says, in whatever pieces and blocks. */
const contentOf = (parts: Parts): string => {
  const reasoning = parts.map((part) =>
    part.type === "reasoning-delta" ? part.delta : part.type === "reasoning" ? part.text : ""
  )
  const tools = parts.flatMap((part) => (part.type === "tool-call" ? [[part.name, part.params]] : []))
  return JSON.stringify([textOf(parts), reasoning.join(""), tools])
}

/** What was said for a call, by attempts of its own and those it may share. */
class Story {
  private readonly attempts: ReadonlyArray<AttemptSeen>
  private readonly isContinued: boolean

  constructor(trace: Trace, call: CallSeen) {
    const related = relatedTo(trace, call)
    const numbers = new Set(related.map(({ number }) => number))
    this.attempts = trace.attempts.filter((attempt) => numbers.has(attempt.call))
    this.isContinued = related.some(({ decisions }) =>
      decisions.some(({ decision }) => decision._tag === "FellBack" && decision.midStream === "continued")
    )
  }

  /** Whether this is all of an answer. */
  explains(parts: Parts): boolean {
    const content = contentOf(parts)
    return (
      this.attempts.some(({ chunks, ended }) => ended === "completed" && contentOf(chunks.flat()) === content) ||
      (this.isContinued && this.goesOn("", textOf(parts), [], true))
    )
  }

  /** Whether this is what was said of an answer that was not completed. */
  explainsSome(text: string): boolean {
    return text === "" || this.goesOn("", text, [], false)
  }

  /** Whether attempts that have not been used yet lead from what is said to the whole text. */
  private goesOn(said: string, text: string, used: ReadonlyArray<number>, isWhole: boolean): boolean {
    if (used.length > 0 && !this.isContinued) return false
    return this.attempts.some((attempt) => {
      if (used.includes(attempt.number)) return false
      const ends = endsOf(attempt).map((told) => following(said, told))
      if (isWhole ? attempt.ended === "completed" && ends.at(-1) === text : ends.includes(text)) return true
      // What was interrupted may have said more than was passed on, what failed by itself has not.
      const passed = attempt.ended === "interrupted" ? ends : ends.slice(-1)
      return passed.some(
        (next) => next !== said && text.startsWith(next) && this.goesOn(next, text, [...used, attempt.number], isWhole)
      )
    })
  }
}

/** What an attempt had said after each of its chunks. */
const endsOf = ({ chunks }: AttemptSeen): ReadonlyArray<string> => {
  let told = ""
  return chunks.map((chunk) => (told += textOf(chunk)))
}

/** What is said when a model that was asked to go on tells this: what it repeats is left out. */
const following = (said: string, told: string): string => (told.startsWith(said) ? told : said + told)

/** An answer is of a call with the same prompt and tenant; one that was given before was whole. */
export const cachesOnlyWholeAnswers: Law = {
  name: "cachesOnlyWholeAnswers",
  breaches: (trace) => {
    const attempts = new Map(trace.attempts.map((attempt) => [textTag(attempt), attempt]))
    return trace.calls.flatMap((call) => {
      const { ended, key, number, parts } = call
      const strange = tagsOf(textOf(parts)).flatMap((tag) => {
        const of = trace.calls[attempts.get(tag)?.call ?? -1]
        return of === undefined || of.key === key
          ? []
          : [`call ${number} of ${key} was told what ${of.key} was: ${tag}`]
      })
      const isGiven = ended === "succeeded" && attemptsOf(trace, call).length === 0 && !isDegraded(trace, call)
      const [answer = []] = segmentsOf(parts).slice(-1)
      return isGiven && !new Story(trace, call).explains(answer)
        ? [...strange, `call ${number} was given ${contentOf(answer)}, which was never a whole answer`]
        : strange
    })
  }
}

/** The names that texts of attempts carry, see the stage. */
const tagsOf = (text: string): ReadonlyArray<string> => text.match(/<\d+\.\d+ /g) ?? []

const textTag = ({ chunks }: AttemptSeen): string => tagsOf(textOf(chunks.flat())).at(-1) ?? ""
