/**
 * Chooses the reason of a failed call, the same for every provider that speaks HTTP.
 *
 * What the provider said decides, and the HTTP status only where that is silent; `ErrorTable` is the table.
 */
import { DateTime, Duration, Option, Predicate, Record, Redacted } from "effect"
import { AiError } from "effect/ai"
import { isSecretHeader } from "../http/Secrets.ts"
import * as ErrorFacts from "./ErrorFacts.ts"
import type * as ErrorRow from "./ErrorRow.ts"
import * as ErrorTable from "./ErrorTable.ts"
import type { Shown } from "./Shown.ts"

/** Reads whatever failed: a refusal, a connection, an answer that makes no sense. `shown` says what may show of it. */
export const of = (error: unknown, shown?: Shown): AiError.AiErrorReason =>
  fromFacts(ErrorFacts.fromUnknown(error, shown))

/**
 * What `x-should-retry` may change: a status that would end it, or any answer that would be tried again. What the provider
 * wants nobody to try again stays its own fault (see `Verdict`).
 */
const fromFacts = (facts: ErrorFacts.ErrorFacts): AiError.AiErrorReason => {
  if (!facts.refused) return make(verdictOfLost(facts), facts)
  const certain = ErrorTable.find(ErrorTable.specific, facts)
  const likely = certain ?? ErrorTable.find(ErrorTable.byStatus, facts) ?? ErrorTable.find(ErrorTable.vague, facts)
  const reason = make(likely ?? { is: "InternalProvider" }, facts)
  if (facts.shouldRetry === false && reason.isRetryable) {
    return make(refusedFor[reason._tag] ?? { is: "Unknown" }, facts)
  }
  return facts.shouldRetry === true && certain === undefined && !reason.isRetryable
    ? make({ is: "InternalProvider" }, facts)
    : reason
}

/** What an error becomes that would be tried again, and that the provider says not to. Others are `Unknown`. */
const refusedFor: { readonly [tag: string]: ErrorRow.Verdict } = {
  RateLimitError: { is: "Quota" },
  InvalidOutputError: { is: "InvalidRequest" }
}

const verdictOfLost = (facts: ErrorFacts.ErrorFacts): ErrorRow.Verdict => {
  const verdict = ErrorTable.findLocal(facts)
  if (verdict?.is === "InvalidResponse" && facts.cut) return { is: "InternalProvider" }
  return (
    verdict ??
    ErrorTable.find(ErrorTable.specific, facts) ??
    ErrorTable.find(ErrorTable.vague, facts) ?? { is: "Unknown" }
  )
}

const make = (verdict: ErrorRow.Verdict, facts: ErrorFacts.ErrorFacts): AiError.AiErrorReason => {
  const common = { metadata: metadataOf(facts), http: httpOf(facts) }
  const description =
    facts.message === "" ? (facts.status === undefined ? "no reason given" : `HTTP ${facts.status}`) : facts.message
  switch (verdict.is) {
    case "RateLimit":
      return new AiError.RateLimitError({ ...common, retryAfter: Option.getOrUndefined(facts.retryAfter) })
    case "Quota":
      return new AiError.QuotaExhaustedError({ ...common, resetAt: resetAt(facts.message) })
    case "Authentication":
      return new AiError.AuthenticationError({
        ...common,
        kind: verdict.kind,
        description: facts.status === 407 ? `a proxy wants credentials: ${description}` : description
      })
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
      return new AiError.InvalidResponseError({ ...common, http: withoutBody(common.http), description })
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

/** The innermost error names the trouble. */
const ofNetwork = (verdict: ErrorRow.Verdict & { is: "Network" }, facts: ErrorFacts.ErrorFacts) =>
  verdict.reason === "EncodeError"
    ? { description: unsendable(facts.message) }
    : { description: facts.message, cause: copied(facts.causes.at(-1), facts.message) }

/** The message may quote the key: of it only the names of headers show that belong to the connection. */
const unsendable = (message: string): string => {
  const [, name = /request body length/i.test(message) ? "content-length" : undefined] =
    connectionHeader.exec(message) ?? []
  return name === undefined
    ? "a header, most likely the API key, holds a character that HTTP does not allow"
    : `the header ${name.toLowerCase()} of the request cannot be sent so: the connection sets it itself`
}

const connectionHeader =
  /(?:^|\b(?:invalid|duplicate) )(connection|content-length|expect|host|keep-alive|transfer-encoding|upgrade) header(?: not supported)?$/i

/** An error with nothing of the one it is made from but what tells the trouble: others carry the prompt, or the answer. */
const copied = (cause: unknown, message: string): Error => {
  const copy = new Error(message)
  if (Predicate.isError(cause) && Predicate.isString(cause.name)) copy.name = cause.name
  for (const key of ["code", "errno", "syscall", "address", "port", "hostname"]) {
    const value: unknown = Predicate.hasProperty(cause, key) ? cause[key] : undefined
    if (Predicate.isString(value) || Predicate.isNumber(value)) Object.assign(copy, { [key]: value })
  }
  return copy
}

/** What cannot be read as an answer may hold one all the same. */
const withoutBody = (http: typeof AiError.HttpContext.Type | undefined): typeof AiError.HttpContext.Type | undefined =>
  http?.response === undefined ? undefined : { response: http.response }

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
          headers: Record.map(facts.headers, (value, name) => (isSecretHeader(name) ? Redacted.make(value) : value))
        },
        body: facts.body
      }
