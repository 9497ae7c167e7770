/**
 * Sends a request that its caller has as bytes: as it is, but for what the caller lets be spliced.
 */
import { AiError } from "effect/ai"
import type * as WireBytes from "../../core/call/WireBytes.ts"
import type { Target } from "./RequestBody.ts"
import * as Splice from "./Splice.ts"

/** The body to send. Throws an `AiErrorReason` for bytes that cannot be spliced as is asked for. */
export const of = (
  { body, spliceModel, spliceUsage }: WireBytes.Request,
  { dialect, model }: Target,
  streamed: boolean
): Uint8Array => {
  try {
    const named = spliceModel === true ? Splice.set(body, "model", Buffer.from(JSON.stringify(model))) : body
    return spliceUsage === true && streamed && dialect.streamUsage ? withUsage(named) : named
  } catch (error) {
    if (!(error instanceof Splice.Unspliceable)) throw error
    throw new AiError.InvalidRequestError({ parameter: error.field ?? "body", constraint: error.because })
  }
}

/** Asks for the usage, unless the body says whether to. Options that are no object are the server's to refuse. */
const withUsage = (body: Uint8Array): Uint8Array => {
  const options = Splice.get(body, "stream_options")
  const isGiven = options !== undefined && Buffer.from(options).toString("latin1") !== "null"
  if (isGiven && (options[0] !== 0x7b || Splice.get(options, "include_usage") !== undefined)) return body
  return Splice.set(body, "stream_options", Splice.set(isGiven ? options : Buffer.from("{}"), "include_usage", yes))
}

const yes = Buffer.from("true")
