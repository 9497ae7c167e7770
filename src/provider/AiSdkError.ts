/**
 * Turns what an AI SDK provider throws, or puts into a stream's `error` part, into an `AiError` with the right reason.
 *
 * The reason class says whether another attempt can succeed (`isRetryable`), so it is chosen by what the provider said,
 * and by the HTTP status only where that is silent. See `docs/errors.md` for what each reason means.
 */
import { DateTime, Duration, Option, Predicate, Record, Redacted } from "effect"
import { AiError } from "effect/ai"
import * as ErrorFacts from "./errors/ErrorFacts.ts"
import * as ErrorTable from "./errors/ErrorTable.ts"

/**
 * Classifies any failure of an AI SDK model.
 *
 * Facts stay with the reason: `http` holds status, headers (secret ones redacted) and body (at most 4,096 characters);
 * `metadata.provider` holds `status`, `code`, `type`, `parameter`, `requestId`, `message`, `retryAfterMillis` and
 * `shouldRetry`, as far as they were said. `x-should-retry` wins over the status, never over a code that means one
 * thing only. A connection cut before or inside an answer is retryable; an answer that arrived whole and makes no sense
 * is not. An `AiError` is returned unchanged.
 */
export const toAiError = (
  error: unknown,
  context: { readonly method: "generateText" | "streamText" }
): AiError.AiError => {
  if (AiError.isAiError(error)) return error
  return AiError.make({ module: "AiSdk", method: context.method, reason: toReason(ErrorFacts.fromUnknown(error)) })
}

/** What `x-should-retry` may change: a status that would end it, or any answer that would be tried again. */
const toReason = (facts: ErrorFacts.ErrorFacts): AiError.AiErrorReason => {
  if (!facts.refused) return make(verdictOfLost(facts), facts)
  const certain = ErrorTable.find(ErrorTable.specific, facts)
  const likely = certain ?? ErrorTable.find(ErrorTable.byStatus, facts) ?? ErrorTable.find(ErrorTable.vague, facts)
  const reason = make(likely ?? { is: "InternalProvider" }, facts)
  if (facts.shouldRetry === false && reason.isRetryable) {
    return make({ is: reason._tag === "RateLimitError" ? "Quota" : "Unknown" }, facts)
  }
  return facts.shouldRetry === true && certain === undefined && !reason.isRetryable
    ? make({ is: "InternalProvider" }, facts)
    : reason
}

const verdictOfLost = (facts: ErrorFacts.ErrorFacts): ErrorTable.Verdict => {
  const verdict = ErrorTable.findLocal(facts)
  if (verdict?.is === "InvalidResponse" && facts.cut) return { is: "Network", reason: "TransportError" }
  return (
    verdict ??
    ErrorTable.find(ErrorTable.specific, facts) ??
    ErrorTable.find(ErrorTable.vague, facts) ?? { is: "Unknown" }
  )
}

const make = (verdict: ErrorTable.Verdict, facts: ErrorFacts.ErrorFacts): AiError.AiErrorReason => {
  const common = { metadata: metadataOf(facts), http: httpOf(facts) }
  const description =
    facts.message === "" ? (facts.status === undefined ? "no reason given" : `HTTP ${facts.status}`) : facts.message
  switch (verdict.is) {
    case "RateLimit":
      return new AiError.RateLimitError({ ...common, retryAfter: Option.getOrUndefined(facts.retryAfter) })
    case "Quota":
      return new AiError.QuotaExhaustedError({ ...common, resetAt: resetAt(facts.message) })
    case "Authentication":
      return new AiError.AuthenticationError({ ...common, kind: verdict.kind, description })
    case "ContentPolicy":
      return new AiError.ContentPolicyError({ ...common, description })
    case "InvalidRequest":
      return new AiError.InvalidRequestError({
        ...common,
        description,
        constraint: verdict.constraint,
        parameter: facts.parameter ?? verdict.parameter ?? leadingParameter.exec(facts.message)?.[1]
      })
    case "InvalidUserInput":
      return new AiError.InvalidUserInputError({ description })
    case "InternalProvider":
      return new AiError.InternalProviderError({ ...common, description })
    case "InvalidOutput":
      return new AiError.InvalidOutputError({ metadata: common.metadata, description })
    case "InvalidResponse":
      return new AiError.InvalidResponseError({ ...common, description })
    case "Unknown":
      return new AiError.UnknownError({ ...common, description })
    case "Network":
      return new AiError.NetworkError({
        reason: verdict.reason,
        method: "POST",
        url: facts.url ?? "",
        ...ofNetwork(verdict, facts)
      })
  }
}

/** The innermost error names the trouble and, unlike the outer ones, does not carry the prompt. */
const ofNetwork = (verdict: ErrorTable.Verdict & { is: "Network" }, facts: ErrorFacts.ErrorFacts) =>
  verdict.reason === "EncodeError"
    ? { description: "a header, most likely the API key, holds a character that HTTP does not allow" }
    : { description: facts.message, cause: facts.causes.at(-1) }

/** Anthropic says when a spend limit ends only in words. */
const resetAt = (message: string): DateTime.Utc | undefined => {
  const [, day, time] = /regain access on (\d{4}-\d\d-\d\d) at (\d\d:\d\d) UTC/.exec(message) ?? []
  return day === undefined ? undefined : Option.getOrUndefined(DateTime.make(`${day}T${time}:00Z`))
}

/** Anthropic names the parameter only at the head of the message: "max_tokens: 8193 > 8192, which is …". */
const leadingParameter =
  /^((?:max_tokens|messages|model|stop_sequences|system|temperature|thinking|tool_choice|tools|top_k|top_p)(?:\.[\w.]+)?): /

const metadataOf = (facts: ErrorFacts.ErrorFacts): AiError.ProviderMetadata => ({
  provider: Record.filter(
    {
      status: facts.status,
      code: facts.code,
      type: facts.type,
      parameter: facts.parameter,
      requestId: facts.requestId,
      message: facts.message,
      shouldRetry: facts.shouldRetry,
      retryAfterMillis: Option.getOrUndefined(Option.map(facts.retryAfter, Duration.toMillis))
    },
    Predicate.isNotUndefined
  )
})

const httpOf = (facts: ErrorFacts.ErrorFacts): typeof AiError.HttpContext.Type | undefined =>
  facts.headers === undefined || facts.answered === undefined
    ? undefined
    : {
        response: {
          status: facts.answered,
          headers: Record.map(facts.headers, (value, name) => (secretHeader.test(name) ? Redacted.make(value) : value))
        },
        body: facts.body
      }

const secretHeader = /authorization|cookie|secret|signature|api-?key|(^|-)token$/
