/**
 * Decides, as data, what a provider's error means.
 *
 * Rows are tried in order and the first that fits decides. `specific` rows go by code, type or wording and always win:
 * a quota 429 is not a rate limit, an invalid key answered with 400 is not a bad parameter. Only when none fits does the
 * HTTP status decide (`byStatus`), and for errors inside a stream, which have none, the vague types (`vague`).
 */
import { Predicate } from "effect"
import type { ErrorFacts } from "./ErrorFacts.ts"

/** What an error means: the reason class of `AiError` to use, and what the row knows about it. */
export type Verdict =
  | { readonly is: "RateLimit" | "Quota" | "ContentPolicy" | "InternalProvider" | "InvalidOutput" | "InvalidResponse" }
  | {
      readonly is: "Authentication"
      readonly kind: "InvalidKey" | "ExpiredKey" | "MissingKey" | "InsufficientPermissions"
    }
  | { readonly is: "InvalidRequest"; readonly parameter?: string; readonly constraint?: string }
  | { readonly is: "InvalidUserInput" | "Unknown" }
  | { readonly is: "Network"; readonly reason: "TransportError" | "EncodeError" | "InvalidUrlError" }

/** One row. All conditions it names must hold; `words` and `says` are matched in lower case. */
export interface Row {
  /** A code, type or reason that is exactly one of these, or matches. */
  readonly words?: ReadonlyArray<string> | RegExp
  /** The text for humans contains this. */
  readonly says?: RegExp
  /** The status lies in this range, both ends included. */
  readonly status?: readonly [from: number, to: number]
  readonly verdict: Verdict
}

const contextLength: Verdict = { is: "InvalidRequest", parameter: "messages", constraint: "exceeds the context length" }
const tooLarge: Verdict = { is: "InvalidRequest", parameter: "messages", constraint: "is too large" }
const transport: Verdict = { is: "Network", reason: "TransportError" }
const unknownModel: Verdict = { is: "InvalidRequest", parameter: "model", constraint: "is not available" }

/** Codes, types and wordings that mean one thing only. */
export const specific: ReadonlyArray<Row> = [
  // Money. Waiting does not help, whatever the status says.
  {
    words: [
      "insufficient_quota",
      "credit_balance_exhausted",
      "organization_spend_limit_exceeded",
      "project_spend_limit_exceeded",
      "organization_usage_limit_exceeded",
      "billing_not_active",
      "billing_hard_limit_reached",
      "billing_error",
      "enforced_spend_limit_reached",
      "exceeded_current_quota_error",
      "insufficient_credits",
      "insufficient_balance",
      "insufficient_g1_credits_balance",
      "servicequotaexceededexception",
      "arrearage"
    ],
    verdict: { is: "Quota" }
  },
  { words: /perday/, verdict: { is: "Quota" } },
  {
    says: /credit balance is too low|api usage limits|(spend|spending|monthly) limit|insufficient (balance|credits|funds)|(requires more|used all available|out of|doesn't have any) credits|more credits are required|free-models-per-day|account is not active|extra usage is required|\blimit: 0\b/,
    verdict: { is: "Quota" }
  },

  // Keys
  {
    words: ["missingauthenticationtokenexception"],
    verdict: { is: "Authentication", kind: "MissingKey" }
  },
  { words: ["expiredtokenexception"], verdict: { is: "Authentication", kind: "ExpiredKey" } },
  {
    says: /didn't provide an api key|no auth credentials|no api key|missing api key|api key is required/,
    verdict: { is: "Authentication", kind: "MissingKey" }
  },
  {
    says: /(api key|token)( has|'s| is)? expired|token .* is expired/,
    verdict: { is: "Authentication", kind: "ExpiredKey" }
  },
  {
    words: [
      "invalid_api_key",
      "api_key_invalid",
      "authentication_error",
      "authenticationerror",
      "unauthenticated",
      "unauthorized",
      "unrecognizedclientexception",
      "invalidsignatureexception"
    ],
    verdict: { is: "Authentication", kind: "InvalidKey" }
  },
  {
    says: /(incorrect|invalid) api key|invalid x-api-key|api key not valid|invalid subscription key|authentication fails/,
    verdict: { is: "Authentication", kind: "InvalidKey" }
  },
  {
    words: [
      "permission_error",
      "permission_denied",
      "accessdeniedexception",
      "unsupported_country_region_territory",
      "request_forbidden"
    ],
    verdict: { is: "Authentication", kind: "InsufficientPermissions" }
  },

  // Content
  {
    words: [
      "content_filter",
      "responsibleaipolicyviolation",
      "content_policy_violation",
      "invalid_prompt",
      "moderation_blocked",
      "data_inspection_failed"
    ],
    verdict: { is: "ContentPolicy" }
  },
  {
    says: /content (filtering|management) policy|flagged as potentially violating|content exists risk|requires moderation|our safety system/,
    verdict: { is: "ContentPolicy" }
  },

  // OpenAI's Responses API answered 200 without an answer; the AI SDK makes that a 500
  { says: /^responses api returned no output \(content_filter\)/, verdict: { is: "ContentPolicy" } },
  { says: /^responses api returned no output/, verdict: { is: "InvalidResponse" } },

  // The model's own slip, answered as an error: asking again can help.
  { words: ["tool_use_failed", "json_validate_failed", "output_parse_failed"], verdict: { is: "InvalidOutput" } },

  // The request. "Too large for the limit per minute" comes as a 429 too, and no wait makes it fit.
  { words: ["context_length_exceeded", "exceed_context_size_error"], verdict: contextLength },
  {
    says: /maximum context length|prompt is too long|input is too long|exceeds the (available )?context|input token count.*exceeds/,
    verdict: contextLength
  },
  { words: ["request_too_large", "tokens_limit_reached", "string_above_max_length"], verdict: tooLarge },
  { says: /^request (too large|body too large)|exceeds the maximum size/, verdict: tooLarge },
  { words: ["model_not_found", "deploymentnotfound", "modelnotfound"], verdict: unknownModel },
  { says: /^model: \S+$|model .{1,100} (does not exist|not found)/, verdict: unknownModel },
  {
    words: [
      "unsupported_parameter",
      "unsupported_value",
      "invalid_value",
      "missing_required_parameter",
      "extra_forbidden"
    ],
    verdict: { is: "InvalidRequest" }
  },

  // Speed
  {
    words: [
      "rate_limit_exceeded",
      "rate_limit_error",
      "rate_limited",
      "slow_down",
      "throttlingexception",
      "throttling_error",
      "toomanyrequestsexception",
      "too_many_requests",
      "resource_exhausted"
    ],
    verdict: { is: "RateLimit" }
  },

  // The provider
  {
    words: [
      "overloaded_error",
      "timeout_error",
      "server_error",
      "server_is_overloaded",
      "service_unavailable",
      "service_unavailable_error",
      "internal_error",
      "internal_server_error",
      "internal",
      "unavailable",
      "deadline_exceeded",
      "conflict_error",
      "internalserverexception",
      "serviceunavailableexception",
      "modeltimeoutexception",
      "modelnotreadyexception",
      "modelerrorexception",
      "modelstreamerrorexception",
      "provider_unavailable"
    ],
    verdict: { is: "InternalProvider" }
  }
]

/** What the HTTP status says when nothing else does. */
export const byStatus: ReadonlyArray<Row> = [
  { status: [401, 401], verdict: { is: "Authentication", kind: "InvalidKey" } },
  { status: [402, 402], verdict: { is: "Quota" } },
  { status: [403, 403], verdict: { is: "Authentication", kind: "InsufficientPermissions" } },
  { status: [408, 409], verdict: { is: "InternalProvider" } },
  { status: [413, 413], verdict: tooLarge },
  { status: [425, 425], verdict: { is: "InternalProvider" } },
  { status: [429, 429], verdict: { is: "RateLimit" } },
  { status: [498, 498], verdict: { is: "InternalProvider" } },
  { status: [400, 499], verdict: { is: "InvalidRequest" } },
  { status: [500, 599], verdict: { is: "InternalProvider" } }
]

/** Words and wordings that mean something only where there is no status: in errors inside a stream. */
export const vague: ReadonlyArray<Row> = [
  { words: ["not_found_error"], verdict: unknownModel },
  { words: ["api_error"], verdict: { is: "InternalProvider" } },
  { words: ["invalid_request_error", "invalid_argument", "badrequesterror"], verdict: { is: "InvalidRequest" } },
  { says: /rate limit|too many (requests|tokens)/, verdict: { is: "RateLimit" } },
  {
    says: /overloaded|high demand|no capacity|internal (server )?error|server had an error|try again later/,
    verdict: { is: "InternalProvider" }
  }
]

/**
 * Failures that are not the provider's answer, by the name, code or whole message of any error in the chain of causes.
 * A wrong certificate, or a plain server on a TLS port, stays wrong, so it is not a transport error to retry.
 */
const local: ReadonlyArray<readonly [is: RegExp, verdict: Verdict]> = [
  [/^AbortError$/, { is: "Unknown" }],
  [/^(CERT_|ERR_TLS_CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|HOSTNAME_MISMATCH)/, { is: "Unknown" }],
  [/^ERR_SSL_(WRONG_VERSION|PACKET_LENGTH|UNSUPPORTED_PROTOCOL)/, { is: "Unknown" }],
  [/^(ERR_INVALID_URL|unknown scheme|bad port)$|^Failed to parse URL/, { is: "Network", reason: "InvalidUrlError" }],
  [/is an invalid header value\.?$/, { is: "Network", reason: "EncodeError" }],
  [/^(E(CONN|HOST|NET)[A-Z]+|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)$/, transport],
  [/^(UND_ERR_(?!INVALID)|HPE_|ERR_SSL_|ERR_HTTP2_|ERR_STREAM_PREMATURE|Z_BUF_ERROR)/, transport],
  [/^(ConnectionRefused|ConnectionClosed|FailedToOpenSocket|TimeoutError)$/, transport],
  [/^(fetch failed|failed to fetch|terminated|network error|socket hang up|other side closed)$/i, transport],
  [/^Response stream ended without a finish reason\.$/, transport],
  [/^AI_LoadAPIKeyError$/, { is: "Authentication", kind: "MissingKey" }],
  [/^AI_NoSuchModelError$/, unknownModel],
  [/^AI_InvalidPromptError$/, { is: "InvalidUserInput" }],
  [/^AI_(UnsupportedFunctionality|InvalidArgument|LoadSetting|Download)Error$/, { is: "InvalidRequest" }],
  [/^AI_(TooManyEmbeddingValuesForCall|NoSuchProviderReference)Error$/, { is: "InvalidRequest" }],
  [/^AI_NoContentGeneratedError$/, { is: "InvalidOutput" }],
  [/^AI_(JSONParse|TypeValidation|InvalidResponseData|EmptyResponseBody)Error$/, { is: "InvalidResponse" }]
]

/** Finds the first row that fits. */
export const find = (rows: ReadonlyArray<Row>, facts: ErrorFacts): Verdict | undefined =>
  rows.find(
    (row) =>
      (row.words === undefined || facts.words.some((word) => has(row.words, word))) &&
      (row.says === undefined || row.says.test(facts.message.toLowerCase())) &&
      (row.status === undefined || within(facts.status, row.status))
  )?.verdict

/** Finds what went wrong on this side of the wire, or on it. */
export const findLocal = (facts: ErrorFacts): Verdict | undefined => {
  const names = facts.causes.flatMap((cause) =>
    ["name", "code", "message"].flatMap((key) => (Predicate.hasProperty(cause, key) ? [String(cause[key])] : []))
  )
  return local.find(([is]) => names.some((name) => is.test(name)))?.[1]
}

const has = (words: Row["words"], word: string): boolean =>
  words instanceof RegExp ? words.test(word) : words?.includes(word) === true

const within = (status: number | undefined, [from, to]: readonly [number, number]): boolean =>
  status !== undefined && from <= status && status <= to
