/**
 * Makes one call whose answer is passed on as its own bytes: it is read to its end, and looked into only for whether it is one.
 */
import { Effect, Option, Predicate, Schema } from "effect"
import { type AiError, Prompt, type Response } from "effect/ai"
import * as Failure from "../../core/call/Failure.ts"
import * as Usage from "../../core/call/Usage.ts"
import * as WireBytes from "../../core/call/WireBytes.ts"
import * as CutJson from "../errors/CutJson.ts"
import * as FinishWord from "../errors/FinishWord.ts"
import * as Shown from "../errors/Shown.ts"
import * as Call from "./Call.ts"
import * as Faults from "./Faults.ts"
import * as Finish from "./Finish.ts"
import { Inbox } from "./Inbox.ts"
import * as LooseJson from "./LooseJson.ts"
import * as SaidErrors from "./SaidErrors.ts"
import type * as WireError from "./WireError.ts"

/** Gives what the answer cost, in parts that remember its bytes. The connection is closed unless the answer is complete. */
export const whole = (ready: Call.Request): Effect.Effect<Array<Response.PartEncoded>, AiError.AiError> =>
  Effect.suspend(() => {
    const inbox = new Inbox()
    return Effect.onExitPrimitive(
      Effect.flatMap(Call.ask(ready, inbox, begin), (context) => read(ready, inbox, context)),
      () => void Call.closed(ready, inbox)
    )
  })

/** What is known of a call when it fails. What it said is looked for only then. */
export const contextOf = (mask: WireError.Context["mask"], url: string, body: Uint8Array): WireError.Context => ({
  method: "generateText",
  mask,
  url,
  prompt: () => saidIn(body)
})

const saidIn = (body: Uint8Array): Prompt.Prompt => {
  const json = Option.getOrUndefined(decode(Buffer.from(body).toString("utf8")))
  const said = fieldsWithTexts.map((name) => (Predicate.hasProperty(json, name) ? json[name] : ""))
  return Prompt.make(Array.from(Shown.textsIn(said), (content) => ({ role: "system", content })))
}

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

const fieldsWithTexts = ["messages", "input", "prompt", "system", "instructions"]

const begin = (_: Call.Request, __: Inbox, context: Call.Begun): Call.Begun => context

const read = (
  ready: Call.Request,
  inbox: Inbox,
  context: Call.Begun
): Effect.Effect<Array<Response.PartEncoded>, AiError.AiError> => {
  const buffers: Array<Buffer> = []
  const more: Effect.Effect<Array<Response.PartEncoded>, AiError.AiError> = Effect.suspend(() => {
    for (const bytes of inbox.take()) {
      ready.log?.read(bytes)
      buffers.push(bytes)
    }
    if (!inbox.hasEnded && inbox.failure === undefined) return Effect.andThen(inbox.wait, more)
    try {
      if (inbox.failure !== undefined) throw inbox.failure.error
      const parts = partsOf(Buffer.concat(buffers), context)
      ready.log?.ended(undefined, "answered")
      return Effect.succeed(parts)
    } catch (error) {
      return Effect.mapError(Call.failed(error, ready, context), (failure) => {
        const usage = costOf(Buffer.concat(buffers))
        return usage === undefined ? failure : Failure.afterWork(failure, { usage })
      })
    }
  })
  return more
}

const partsOf = (bytes: Buffer, { headers, status }: Call.Begun): Array<Response.PartEncoded> => {
  const answer = jsonOf(bytes)
  if (!Predicate.isObject(answer)) throw new Faults.Unreadable({ because: "the answer is no JSON object" })
  if (SaidErrors.isError(answer)) throw new Faults.Refused({ body: answer })
  const [choice] = Array.isArray(answer["choices"]) ? answer["choices"] : []
  const word = Predicate.hasProperty(choice, "finish_reason") ? choice.finish_reason : undefined
  if (FinishWord.isWord(word) && FinishWord.isFailure(word))
    throw new Faults.Refused({ body: FinishWord.failureOf(word) })
  const parts: Array<Response.PartEncoded> = [
    { type: "response-metadata", ...(Predicate.isString(answer["model"]) ? { modelId: answer["model"] } : {}) },
    {
      type: "finish",
      reason: FinishWord.isWord(word) ? FinishWord.meaningOf(word) : "stop",
      usage: Finish.usageOf(answer["usage"]),
      response: { status, headers: headers ?? {} },
      // Only who writes the parts down reads it.
      metadata: {
        chatWire: {
          get body() {
            return bytes.toString("utf8")
          }
        }
      }
    }
  ]
  new WireBytes.Recorder().read(bytes, parts)
  return parts
}

/** What an answer that failed says that it cost. */
const costOf = (bytes: Buffer): Usage.Usage | undefined => {
  const answer = Option.getOrUndefined(decode(bytes.toString("utf8")))
  const usage = Predicate.hasProperty(answer, "usage") ? answer.usage : undefined
  return Predicate.isObject(usage) ? Usage.fromFinish({ usage: Finish.usageOf(usage) }) : undefined
}

/** Half of an answer was cut; nothing of it is quoted. */
const jsonOf = (bytes: Buffer): unknown => {
  const text = bytes.toString("utf8").trimStart()
  if (text === "") throw new Faults.Unreadable({ because: "the answer is empty" })
  try {
    return LooseJson.parse(text)
  } catch {
    if (CutJson.is(text)) throw new Faults.Cut()
    throw new Faults.Unreadable({
      because: text.startsWith("<") ? "the answer is a web page" : "the answer is no JSON"
    })
  }
}
