/**
 * Gives the bytes of a whole answer: the server's own, or the answer written anew where a policy changed it.
 */
import type { Response } from "effect/ai"
import * as WireBytes from "../../core/call/WireBytes.ts"
import * as Fields from "./AnswerFields.ts"
import type { TextField } from "./TextBlocks.ts"
import { ContentList } from "./ContentList.ts"
import type { Json } from "./Messages.ts"
import * as Notes from "./Notes.ts"
import * as ThinkingPart from "./ThinkingPart.ts"

/** See `ChatWire.answerBytes`, which is this. */
export const bytesOf = (parts: ReadonlyArray<Response.PartEncoded>): Uint8Array => {
  const reading = new WireBytes.Reading()
  let bytes: Uint8Array | undefined
  for (const part of parts) {
    const next = reading.next(part)
    if (next === "changed") return Buffer.from(of(parts))
    if (next !== "held") bytes = next
  }
  return bytes !== undefined && reading.pending.length === 0 ? bytes : Buffer.from(of(parts))
}

/** Writes an answer as one chat completion. */
const of = (parts: ReadonlyArray<Response.PartEncoded>): string => {
  const said: { [field in TextField]?: string } = {}
  const list = new ContentList()
  const calls: Array<Json> = []
  const images: Array<Json> = []
  const annotations: Array<Json> = []
  let head: Json | undefined
  let finish: Response.FinishPartEncoded | undefined
  for (const part of parts) {
    switch (part.type) {
      case "response-metadata":
        head ??= Fields.headOf(part)
        break
      case "text":
      case "reasoning": {
        const field = Fields.fieldOf(part.type, part.metadata)
        if (field === "thinking") list.add(ThinkingPart.written(Notes.frameIn(part.metadata), part.text))
        else if (field === "content") list.addText(part.text)
        else said[field] = (said[field] ?? "") + part.text
        break
      }
      case "tool-call": {
        const call = Fields.callOf(part)
        if (call !== undefined) calls.push(call)
        break
      }
      case "file":
        images.push(Fields.imageOf(Fields.fileUrlOf(part)))
        break
      case "source": {
        const source = Fields.sourceOf(part)
        if (source !== undefined && "image" in source) images.push(Fields.imageOf(source.image))
        else if (source !== undefined) annotations.push(source.annotation)
        break
      }
      case "finish":
        finish = part
    }
  }
  const kept = finish === undefined ? undefined : Fields.keptOf(finish)
  if (kept?.body !== undefined) return kept.body
  const message = {
    role: "assistant",
    content: contentOf(list, kept?.message["content"], calls.length > 0 || said.refusal !== undefined),
    ...said,
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(images.length === 0 ? {} : { images }),
    ...(annotations.length === 0 ? {} : { annotations })
  }
  const seen = { calledTools: calls.length > 0, isRefusal: said.refusal !== undefined }
  const choice = {
    index: 0,
    message: Fields.withMore(message, kept?.message ?? {}),
    finish_reason: finish === undefined || kept === undefined ? null : Fields.wordOf(finish, kept, seen)
  }
  const { id, ...rest } = head ?? {}
  const usage = finish === undefined || kept === undefined ? undefined : Fields.usageOf(finish, kept)
  const answer = {
    ...(id === undefined ? {} : { id }),
    object: "chat.completion",
    ...rest,
    choices: [Fields.withMore(choice, kept?.choice ?? {})],
    ...(usage === undefined ? {} : { usage })
  }
  return JSON.stringify(Fields.withMore(answer, kept?.answer ?? {}))
}

/** A list where parts of it were kept that have no part of their own. */
const contentOf = (list: ContentList, kept: unknown, mayLack: boolean): unknown =>
  list.value(Array.isArray(kept) ? kept : []) ?? (mayLack ? null : "")
