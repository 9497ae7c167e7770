/**
 * Decides, as data, what a provider's error means.
 *
 * Rows are tried in order and the first that fits decides. `specific` rows go by code or type, and always win: a quota 429 is
 * not a rate limit, an invalid key answered with 400 is not a bad parameter. Wordings stand behind them, for providers that
 * give no code, and decide only where none says anything: a message may repeat anybody's words. Only when none fits does the
 * HTTP status decide (`byStatus`), and for errors inside a stream, which have none, the vague types (`vague`).
 */
import { Predicate } from "effect"
import * as Failure from "../../core/call/Failure.ts"
import type { ErrorFacts } from "./ErrorFacts.ts"
import type { Row, Verdict } from "./ErrorRow.ts"

const contextLength: Verdict = { is: "InvalidRequest", parameter: "messages", constraint: "exceeds the context length" }
const tooLarge: Verdict = { is: "InvalidRequest", parameter: "messages", constraint: "is too large" }
const proxyRefused: Verdict = { is: "Authentication", kind: "Unknown" }
const transport: Verdict = { is: "Network", reason: "TransportError" }
const unsendable: Verdict = { is: "Network", reason: "EncodeError" }
const missingModel: Verdict = { is: "InvalidRequest", parameter: "model", constraint: Failure.missing }
const doubtfulModel: Verdict = { is: "InvalidRequest", parameter: "model" }

const modelGone =
  /^model: \S+$|^((the|this|your) )?([\w-]+ )?models?\b.{1,100} (does not exist|(is |was )?not found|(is )?no longer (available|supported)|(has been|was|is) (deprecated|retired|decommissioned|discontinued|shut down))|^no endpoints found for /

/** Codes that say less than the wording beside them. */
const refined: ReadonlyArray<Row> = [
  // "Too large for the limit per minute" comes as a 429 too, and no wait makes it fit.
  { words: ["rate_limit_exceeded"], says: /^request too large/, verdict: tooLarge },
  {
    words: ["rate_limit_error"],
    says: /^this request would exceed your account's \w+ spend limit|^extra usage is required/,
    verdict: { is: "Quota" }
  },
  {
    words: ["resource_exhausted"],
    says: /^you exceeded your current quota.*\blimit: 0\b/s,
    verdict: { is: "Quota" }
  },
  { words: ["api_key_invalid"], says: /^api key expired/, verdict: { is: "Authentication", kind: "ExpiredKey" } }
]

/** Codes and types that mean one thing only. */
const codes: ReadonlyArray<Row> = [
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
      "budget_exceeded",
      "insufficient_g1_credits_balance",
      "servicequotaexceededexception",
      "arrearage"
    ],
    verdict: { is: "Quota" }
  },
  { words: /perday/, verdict: { is: "Quota" } },

  // Keys
  {
    words: ["missingauthenticationtokenexception"],
    verdict: { is: "Authentication", kind: "MissingKey" }
  },
  { words: ["expiredtokenexception"], verdict: { is: "Authentication", kind: "ExpiredKey" } },
  {
    words: [
      "invalid_api_key",
      "invalidapikey",
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

  // The model's own slip, answered as an error: asking again can help.
  {
    words:
      /^(tool_use_failed|json_validate_failed|output_parse_failed)$|malformed_function_call|malformed_response|unexpected_tool_call/,
    verdict: { is: "InvalidOutput" }
  },

  // The request
  { words: ["context_length_exceeded", "exceed_context_size_error"], verdict: contextLength },
  { words: ["request_too_large", "tokens_limit_reached", "string_above_max_length"], verdict: tooLarge },
  {
    words: [
      "model_not_found",
      "model_decommissioned",
      "model_deprecated",
      "model_not_available",
      "invalid_model",
      "deploymentnotfound",
      "modelnotfound"
    ],
    verdict: missingModel
  },
  // Wordings may be anybody's: without the status they decide nothing for other calls.
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

/** How the messages of those begin that give no code for it. */
const wordings: ReadonlyArray<Row> = [
  {
    says: /^(your credit balance is too low|you have reached your (specified )?api usage limits|insufficient (balance|credits|funds)|(this request requires|you need) more credits|more credits are required|rate limit exceeded: free-models-per-day|your [^:]{0,100}(used all available credits|doesn't have any credits)|(you are|you're|your account is) out of credits|your account is not active|extra usage is required)/,
    status: [0, 499],
    verdict: { is: "Quota" }
  },
  {
    says: /^(you didn't provide an api key|no auth credentials|no api key|missing api key|(an )?api key is required)/,
    status: [0, 499],
    verdict: { is: "Authentication", kind: "MissingKey" }
  },
  {
    says: /^((your|the) )?(api key|(access )?token)( has|'s| is| .{1,100} is)? expired/,
    status: [0, 499],
    verdict: { is: "Authentication", kind: "ExpiredKey" }
  },
  {
    says: /^((login fail: )?(incorrect|invalid) api key|invalid x-api-key|api key not valid|access denied due to invalid subscription key|authentication fails)/,
    status: [0, 499],
    verdict: { is: "Authentication", kind: "InvalidKey" }
  },
  {
    says: /^(output blocked by content filtering policy|content exists risk|(input|output) new_sensitive|the response was filtered due to the prompt triggering|(invalid prompt: )?your (prompt|input|request) was (flagged|rejected)|\S{1,100} requires moderation)/,
    verdict: { is: "ContentPolicy" }
  },
  // OpenAI's Responses API answered 200 without an answer; the AI SDK makes that a 500
  { says: /^responses api returned no output \(content_filter\)/, verdict: { is: "ContentPolicy" } },
  { says: /^responses api returned no output/, verdict: { is: "InvalidResponse" } },
  {
    says: /^(this (model|endpoint)'s maximum context length|prompt is too long|input is too long|(the |your )?(request|input|prompt)( \w+){0,3} exceeds the (available )?context|(the )?input token count.*exceeds)/,
    verdict: contextLength
  },
  { says: /^request (too large|body too large)|^(the )?[\w ]{1,60} exceeds the maximum size/, verdict: tooLarge },
  // Wordings may be anybody's: without the status they decide nothing for other calls.
  { says: modelGone, status: [404, 410], verdict: missingModel },
  { says: modelGone, verdict: doubtfulModel }
]

/** What decides before the status does. */
export const specific: ReadonlyArray<Row> = [...refined, ...codes, ...wordings]

/** Codes and types that say nothing of what is wrong, beside those that are numbers. */
const silent = new Set([
  "error",
  "api_error",
  "invalid_request_error",
  "invalid_argument",
  "badrequesterror",
  "validationexception",
  "unknown_error",
  "bad_request",
  "not_found",
  "gone",
  "not_found_error",
  "response.failed",
  "failed",
  "client specified an invalid argument",
  "some resource has been exhausted"
])

const isSilent = (word: string): boolean => silent.has(word) || /^\d+$/.test(word)

/** What the HTTP status says when nothing else does. */
export const byStatus: ReadonlyArray<Row> = [
  { status: [401, 401], verdict: { is: "Authentication", kind: "InvalidKey" } },
  { status: [402, 402], verdict: { is: "Quota" } },
  { status: [403, 403], verdict: { is: "Authentication", kind: "InsufficientPermissions" } },
  { status: [407, 407], verdict: proxyRefused },
  { status: [408, 409], verdict: { is: "InternalProvider" } },
  { status: [413, 413], verdict: tooLarge },
  { status: [424, 425], verdict: { is: "InternalProvider" } },
  { status: [429, 429], verdict: { is: "RateLimit" } },
  { status: [498, 498], verdict: { is: "InternalProvider" } },
  { status: [400, 499], verdict: { is: "InvalidRequest" } },
  { status: [500, 599], verdict: { is: "InternalProvider" } }
]

/** Words and wordings that mean something only where there is no status: in errors inside a stream. */
export const vague: ReadonlyArray<Row> = [
  { words: ["not_found_error"], verdict: doubtfulModel },
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
  // Nothing was sent, and the next call would not be either: the request's own doing, and nobody's illness.
  [/is an invalid header value\.?$|^invalid [\w-]+ header$|^invalid header key$|^duplicate [\w-]+ header$/, unsendable],
  [/^(UND_ERR_(NOT_SUPPORTED|REQ_CONTENT_LENGTH_MISMATCH)|ERR_INVALID_(CHAR|HTTP_TOKEN))$/, unsendable],
  [/^(E(CONN|HOST|NET)[A-Z]+|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)$/, transport],
  // What is no HTTP is none the next time.
  [/^HTTPParserError$/, { is: "InvalidResponse" }],
  [/^(UND_ERR_(?!INVALID)|HPE_|ERR_SSL_|ERR_HTTP2_|ERR_STREAM_PREMATURE|Z_BUF_ERROR)/, transport],
  [/^(ConnectionRefused|ConnectionClosed|FailedToOpenSocket|TimeoutError)$/, transport],
  [/^(fetch failed|failed to fetch|terminated|network error|socket hang up|other side closed)$/i, transport],
  [/^(TooLarge|Miscoded|UnknownCoding|UnknownStatus|NoHttp|NotEvents)$/, { is: "InvalidResponse" }],
  [/^ProxyRefused$/, proxyRefused],
  [/^AI_LoadAPIKeyError$/, { is: "Authentication", kind: "MissingKey" }],
  [/^AI_NoSuchModelError$/, missingModel],
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
      (row.says === undefined || facts.wordings.some((wording) => row.says?.test(wording))) &&
      (row.says === undefined || row.words !== undefined || facts.words.every(isSilent)) &&
      (row.status === undefined || within(row.says === undefined ? facts.status : (facts.status ?? 0), row.status))
  )?.verdict

/** Finds what went wrong on this side of the wire, or on it. */
export const findLocal = (facts: ErrorFacts): Verdict | undefined => {
  const names = facts.causes.flatMap((cause) =>
    ["name", "code", "message"].flatMap((key) => {
      const value: unknown = Predicate.hasProperty(cause, key) ? cause[key] : undefined
      return Predicate.isString(value) || Predicate.isNumber(value) ? [String(value)] : []
    })
  )
  return local.find(([is]) => names.some((name) => is.test(name)))?.[1]
}

const has = (words: Row["words"], word: string): boolean =>
  words instanceof RegExp ? words.test(word) : words?.includes(word) === true

const within = (status: number | undefined, [from, to]: readonly [number, number]): boolean =>
  status !== undefined && from <= status && status <= to
