/**
 * Error answers as providers really send them, with where each was published and what it must become.
 *
 * Bodies are the published JSON with account ids shortened; a few sources print them as Python, rewritten as JSON here.
 * Where the source shows no headers, retry headers of the documented names carry values of ours, and `documented` marks
 * a body put together from the provider's documentation. `via` says which AI SDK provider reads the answer: everything
 * OpenAI-compatible goes through `compatible`, and `responses` is OpenAI's own Responses API.
 */
import type { AiError } from "effect/ai"

export interface Recorded {
  readonly name: string
  readonly source: string
  readonly via: "chat" | "responses" | "compatible" | "anthropic"
  /** The HTTP status. 200 is an error inside a body that began well. */
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** The body; text is sent as it is. With `stream`, one server-sent event. */
  readonly body: object | string
  /** Sends the body as a server-sent event of this name (none: `data:` only), after `before`. */
  readonly stream?: { readonly event?: string; readonly before?: ReadonlyArray<object> }
  readonly becomes: {
    readonly reason: AiError.AiErrorReason["_tag"]
    readonly retryable: boolean
    readonly retryAfterMillis?: number
    readonly kind?: string
    readonly parameter?: string
  }
}

const issue = (repository: string, number: number) => `https://github.com/${repository}/issues/${number}`
const pull = (repository: string, number: number) => `https://github.com/${repository}/pull/${number}`

const rateLimit = (retryAfterMillis?: number) =>
  ({
    reason: "RateLimitError",
    retryable: true,
    ...(retryAfterMillis === undefined ? {} : { retryAfterMillis })
  }) as const
const quota = { reason: "QuotaExhaustedError", retryable: false } as const
const auth = (kind: string) => ({ reason: "AuthenticationError", retryable: false, kind }) as const
const content = { reason: "ContentPolicyError", retryable: false } as const
const invalid = (parameter?: string) =>
  ({
    reason: "InvalidRequestError",
    retryable: false,
    ...(parameter === undefined ? {} : { parameter })
  }) as const
const internal = { reason: "InternalProviderError", retryable: true } as const
const output = { reason: "InvalidOutputError", retryable: true } as const

const chatChunk = {
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1,
  model: "m",
  choices: [{ index: 0, delta: { role: "assistant", content: "Hel" }, finish_reason: null }]
}
const messageStart = {
  type: "message_start",
  message: {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "claude",
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: 1, output_tokens: 1 }
  }
}

export const recorded: ReadonlyArray<Recorded> = [
  // ---------------------------------------------------------------------------------------------------------- OpenAI
  {
    name: "OpenAI: insufficient_quota",
    source: issue("ChatGPTNextWeb/NextChat", 3664),
    via: "chat",
    status: 429,
    body: {
      error: {
        message:
          "You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
        type: "insufficient_quota",
        param: null,
        code: "insufficient_quota"
      }
    },
    becomes: quota
  },
  {
    name: "OpenAI: insufficient_quota without a code",
    source: issue("waylaidwanderer/node-chatgpt-api", 167),
    via: "chat",
    status: 429,
    body: {
      error: {
        message: "You exceeded your current quota, please check your plan and billing details.",
        type: "insufficient_quota",
        param: null,
        code: null
      }
    },
    becomes: quota
  },
  {
    name: "OpenAI: project_spend_limit_exceeded",
    source:
      "https://dev.to/sublynow/your-openai-api-429-is-not-always-a-rate-limit-reading-insufficientquota-by-errorcode-1mbl",
    via: "responses",
    status: 429,
    headers: { "retry-after": "20" },
    body: {
      error: {
        message: "You exceeded your current quota, please check your plan and billing details.",
        type: "insufficient_quota",
        code: "project_spend_limit_exceeded"
      }
    },
    becomes: quota
  },
  {
    name: "OpenAI: billing_not_active",
    source: issue("lifan0127/ai-research-assistant", 174),
    via: "chat",
    status: 429,
    headers: {
      date: "Tue, 17 Jun 2025 07:23:10 GMT",
      server: "cloudflare",
      "x-request-id": "req_c8a9aa9843db449de0e4f3ada778f6ce"
    },
    body: {
      error: {
        message: "Your account is not active, please check your billing details on our website.",
        type: "billing_not_active",
        param: null,
        code: "billing_not_active"
      }
    },
    becomes: quota
  },
  {
    name: "OpenAI: tokens per minute",
    source: pull("Pythagora-io/gpt-pilot", 610),
    via: "chat",
    status: 429,
    body: {
      error: {
        message:
          "Rate limit reached for gpt-4-turbo-preview in organization org-xxx on tokens per min (TPM): Limit 300000, Used 286751, Requested 16144. Please try again in 579ms. Visit https://platform.openai.com/account/rate-limits to learn more.",
        type: "tokens",
        param: null,
        code: "rate_limit_exceeded"
      }
    },
    becomes: rateLimit(579)
  },
  {
    name: "OpenAI: tokens per day",
    source: pull("Pythagora-io/gpt-pilot", 610),
    via: "responses",
    status: 429,
    body: {
      error: {
        message:
          "Rate limit reached for gpt-4-turbo-preview in organization org-xxx on tokens per day (TPD): Limit 1500000, Used 1485066, Requested 16144. Please try again in 1m9.696s. Visit https://platform.openai.com/account/rate-limits to learn more.",
        type: "tokens",
        param: null,
        code: "rate_limit_exceeded"
      }
    },
    becomes: rateLimit(69_696)
  },
  {
    name: "OpenAI: a wait of days",
    source: issue("openai/openai-dotnet", 404),
    via: "chat",
    status: 429,
    body: {
      error: {
        message:
          "Rate limit reached for gpt-4o-mini in organization [orgID] on tokens per min (TPM): Limit 100000, Used 96749, Requested 19126. Please try again in 114h18m0s. Visit https://platform.openai.com/account/rate-limits to learn more. You can increase your rate limit by adding a payment method to your account at https://platform.openai.com/account/billing.",
        type: "tokens",
        param: null,
        code: "rate_limit_exceeded"
      }
    },
    becomes: rateLimit(411_480_000)
  },
  {
    name: "OpenAI: one request larger than the limit per minute",
    source: issue("vanderschaarlab/climb", 1),
    via: "chat",
    status: 429,
    body: {
      error: {
        message:
          "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 30601. The input or output tokens must be reduced in order to run successfully. Visit https://platform.openai.com/account/rate-limits to learn more.",
        type: "tokens",
        param: null,
        code: "rate_limit_exceeded"
      }
    },
    becomes: invalid("messages")
  },
  {
    name: "OpenAI: wrong key",
    source: issue("chatanywhere/GPT_API_free", 62),
    via: "chat",
    status: 401,
    body: {
      error: {
        message:
          "Incorrect API key provided: sk-VKMIs***************************************wjh3. You can find your API key at https://platform.openai.com/account/api-keys.",
        type: "invalid_request_error",
        param: null,
        code: "invalid_api_key"
      }
    },
    becomes: auth("InvalidKey")
  },
  {
    name: "OpenAI: no key",
    source: issue("openai/openai-python", 1434),
    via: "chat",
    status: 401,
    body: {
      error: {
        message:
          "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the API from your browser and are prompted for a username and password. You can obtain an API key from https://platform.openai.com/account/api-keys.",
        type: "invalid_request_error",
        param: null,
        code: null
      }
    },
    becomes: auth("MissingKey")
  },
  {
    name: "OpenAI: country not supported",
    source: issue("home-assistant/core", 120072),
    via: "chat",
    status: 403,
    body: {
      error: {
        code: "unsupported_country_region_territory",
        message: "Country, region, or territory not supported",
        param: null,
        type: "request_forbidden"
      }
    },
    becomes: auth("InsufficientPermissions")
  },
  {
    name: "OpenAI: unknown model",
    source: issue("Chainlit/cookbook", 82),
    via: "chat",
    status: 404,
    body: {
      error: {
        message:
          "The model `gpt-4` does not exist or you do not have access to it. Learn more: https://help.openai.com/en/articles/7102672-how-can-i-access-gpt-4.",
        type: "invalid_request_error",
        param: null,
        code: "model_not_found"
      }
    },
    becomes: invalid("model")
  },
  {
    name: "OpenAI: context length",
    source: issue("chathub-dev/chathub", 126),
    via: "chat",
    status: 400,
    body: {
      error: {
        message:
          "This model's maximum context length is 4097 tokens. However, your messages resulted in 4294 tokens. Please reduce the length of the messages.",
        type: "invalid_request_error",
        param: "messages",
        code: "context_length_exceeded"
      }
    },
    becomes: invalid("messages")
  },
  {
    name: "OpenAI: unsupported parameter",
    source: issue("sipeed/picoclaw", 16),
    via: "chat",
    status: 400,
    body: {
      error: {
        message:
          "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        type: "invalid_request_error",
        param: "max_tokens",
        code: "unsupported_parameter"
      }
    },
    becomes: invalid("max_tokens")
  },
  {
    name: "OpenAI: prompt against the usage policy",
    source: issue("BeehiveInnovations/pal-mcp-server", 178),
    via: "responses",
    status: 400,
    headers: { "x-request-id": "req_bf2eadd66b9f5c652172871aebf34737", "openai-processing-ms": "9922" },
    body: {
      error: {
        message:
          "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again with a different prompt: https://platform.openai.com/docs/guides/reasoning#advice-on-prompting",
        type: "invalid_request_error",
        param: null,
        code: "invalid_prompt"
      }
    },
    becomes: content
  },
  {
    name: "OpenAI: server_error before the first token of a stream",
    source: issue("sashabaranov/go-openai", 69),
    via: "chat",
    status: 200,
    stream: {},
    body: {
      error: {
        message:
          "The server had an error processing your request. Sorry about that! You can retry your request, or contact us through our help center at help.openai.com if you keep seeing this error. (Please include the request ID fb94b183e8b7bc5aca22fa62981cc107 in your email.)",
        type: "server_error",
        param: null,
        code: null
      }
    },
    becomes: internal
  },
  {
    name: "OpenAI: server_error in mid-stream",
    source: pull("sashabaranov/go-openai", 396),
    via: "compatible",
    status: 200,
    stream: { before: [chatChunk] },
    body: {
      error: {
        message: "The server experienced an error while processing your request. We apologize for the inconvenience!",
        type: "server_error",
        param: null,
        code: null
      }
    },
    becomes: internal
  },
  {
    name: "OpenAI Responses: overloaded, as an event",
    source: issue("Wei-Shaw/sub2api", 6631),
    via: "responses",
    status: 200,
    stream: { event: "error" },
    body: {
      error: {
        code: "server_is_overloaded",
        message: "Our servers are currently overloaded. Please try again later.",
        param: null,
        type: "service_unavailable_error"
      },
      sequence_number: 2,
      type: "error"
    },
    becomes: internal
  },
  {
    name: "OpenAI Responses: overloaded, as a failed response",
    source: issue("Wei-Shaw/sub2api", 5909),
    via: "responses",
    status: 200,
    stream: { event: "response.failed" },
    body: {
      type: "response.failed",
      sequence_number: 3,
      response: {
        status: "failed",
        output: [],
        model: "gpt-5.6-sol",
        error: {
          code: "server_is_overloaded",
          message: "Our servers are currently overloaded. Please try again later."
        }
      }
    },
    becomes: internal
  },

  // ----------------------------------------------------------------------------------------------------------- Azure
  {
    name: "Azure: content filter",
    source: issue("openai/openai-dotnet", 55),
    via: "chat",
    status: 400,
    body: {
      error: {
        message:
          "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry. To learn more about our content filtering policies please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766",
        type: null,
        param: "prompt",
        code: "content_filter",
        status: 400,
        innererror: {
          code: "ResponsibleAIPolicyViolation",
          content_filter_result: {
            hate: { filtered: false, severity: "safe" },
            self_harm: { filtered: false, severity: "safe" },
            sexual: { filtered: true, severity: "high" },
            violence: { filtered: false, severity: "safe" }
          }
        }
      }
    },
    becomes: content
  },
  {
    name: "Azure: content filter inside a stream",
    source: issue("Azure/azure-sdk-for-js", 26953),
    via: "compatible",
    status: 200,
    stream: { before: [chatChunk] },
    body: {
      error: {
        message:
          "The response was filtered due to the prompt triggering Azure OpenAI’s content management policy. Please modify your prompt and retry. To learn more about our content filtering policies please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766",
        type: null,
        param: "prompt",
        code: "content_filter",
        status: 400
      }
    },
    becomes: content
  },
  {
    name: "Azure: token rate of the pricing tier, with its own header",
    source: issue("jasonacox/TinyLLM", 17),
    via: "chat",
    status: 429,
    headers: { "x-ms-retry-after-ms": "43000", "x-ratelimit-remaining-tokens": "-1" },
    body: {
      error: {
        code: "429",
        message:
          "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2023-05-15 have exceeded token rate limit of your current AIServices S0 pricing tier. Please retry after 86400 seconds. Please contact Azure support service if you would like to further increase the default rate limit."
      }
    },
    becomes: rateLimit(43_000)
  },
  {
    name: "Azure: wait in words only",
    source: issue("microsoft/copilot-camp", 551),
    via: "chat",
    status: 429,
    headers: {
      "apim-request-id": "3d37de60-f6c3-4ced-a637-92bc9d16d8b5",
      date: "Thu, 03 Apr 2025 14:12:23 GMT",
      "x-ms-region": "North Central US",
      "x-ratelimit-limit-requests": "8",
      "x-ratelimit-limit-tokens": "8000",
      "x-ratelimit-remaining-requests": "7",
      "x-ratelimit-remaining-tokens": "1014"
    },
    body: { error: { code: "429", message: "Rate limit is exceeded. Try again in 2 seconds." } },
    becomes: rateLimit(2_000)
  },
  {
    name: "Azure through a gateway: high demand",
    source: issue("pollinations/pollinations", 6260),
    via: "compatible",
    status: 429,
    body: {
      success: false,
      error: {
        message:
          "azure-openai error: The system is currently experiencing high demand and cannot process your request. Your request exceeds the maximum usage size allowed during peak load. Please retry after 20 seconds. For improved latency reliability, consider switching to Provisioned Throughput.",
        code: "RATE_LIMITED",
        timestamp: "2025-12-21T01:27:42.111Z"
      },
      status: 429
    },
    becomes: rateLimit(20_000)
  },
  {
    name: "Azure: wrong key",
    source: issue("SciSharp/BotSharp", 386),
    via: "chat",
    status: 401,
    headers: { date: "Tue, 02 Apr 2024 16:22:56 GMT" },
    body: {
      error: {
        code: "401",
        message:
          "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."
      }
    },
    becomes: auth("InvalidKey")
  },
  {
    name: "Azure: unknown deployment",
    source: issue("chatboxai/chatbox", 861),
    via: "chat",
    status: 404,
    body: {
      error: {
        code: "DeploymentNotFound",
        message:
          "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again."
      }
    },
    becomes: invalid("model")
  },
  {
    name: "Azure models: request body too large",
    source: issue("dyad-sh/dyad", 1950),
    via: "compatible",
    status: 413,
    body: {
      error: {
        code: "tokens_limit_reached",
        message: "Request body too large for gpt-5-mini model. Max size: 4000 tokens.",
        details: "Request body too large for gpt-5-mini model. Max size: 4000 tokens."
      }
    },
    becomes: invalid("messages")
  },

  // ------------------------------------------------------------------------------------------------------------ Groq
  {
    name: "Groq: tokens per minute",
    source: issue("danielmiessler/Fabric", 364),
    via: "compatible",
    status: 429,
    headers: { "retry-after": "51" },
    body: {
      error: {
        message:
          "Rate limit reached for model `llama3-70b-8192` in organization `org_1` on tokens per minute (TPM): Limit 7000, Used 0, Requested ~12903. Please try again in 50.597142857s. Visit https://console.groq.com/docs/rate-limits for more information.",
        type: "tokens",
        code: "rate_limit_exceeded"
      }
    },
    becomes: rateLimit(51_000)
  },
  {
    name: "Groq: one request larger than the limit per minute",
    source: issue("cottongeeks/podscript", 20),
    via: "compatible",
    status: 413,
    body: {
      error: {
        message:
          "Request too large for model `llama-3.3-70b-versatile` in organization `org_1` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 10338, please reduce your message size and try again. Visit https://console.groq.com/docs/rate-limits for more information.",
        type: "tokens",
        code: "rate_limit_exceeded"
      }
    },
    becomes: invalid("messages")
  },
  {
    name: "Groq: the model called a tool wrongly",
    source: issue("groq/groq-typescript", 28),
    via: "compatible",
    status: 400,
    headers: {
      "x-ratelimit-limit-requests": "14400",
      "x-ratelimit-reset-requests": "6s",
      "x-request-id": "req_01hxnxvkfjf6ttkqzfpw23ng08",
      "set-cookie": "__cf_bm=ccxrHjgy0; path=/"
    },
    body: {
      error: {
        message: "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
        type: "invalid_request_error",
        code: "tool_use_failed",
        failed_generation: '```\n{\n  "tool_calls'
      }
    },
    becomes: output
  },
  {
    name: "Groq: the same inside a stream",
    source: issue("anomalyco/opencode", 1018),
    via: "compatible",
    status: 200,
    stream: { event: "error", before: [chatChunk] },
    body: {
      error: {
        message: "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.",
        type: "invalid_request_error",
        code: "tool_use_failed",
        failed_generation: "Tool use failed: JSON does not match the expected schema for tool calls",
        status_code: 400
      }
    },
    becomes: output
  },

  // ------------------------------------------------------------------------------------------------------- Anthropic
  {
    name: "Anthropic: overloaded",
    source: issue("anthropics/anthropic-sdk-typescript", 616),
    via: "anthropic",
    status: 529,
    headers: {
      date: "Fri, 22 Nov 2024 13:44:10 GMT",
      "request-id": "req_01RCc7MbLyQNtGKzBTv8VCep",
      "x-should-retry": "true"
    },
    body: { type: "error", error: { type: "overloaded_error", message: "Overloaded" } },
    becomes: internal
  },
  {
    name: "Anthropic: overloaded inside a stream, before the message",
    source: issue("anthropics/claude-code", 309),
    via: "anthropic",
    status: 200,
    stream: { event: "error" },
    body: { type: "error", error: { details: null, type: "overloaded_error", message: "Overloaded" } },
    becomes: internal
  },
  {
    name: "Anthropic: rate limited in mid-stream",
    source: issue("anthropics/claude-code", 69703),
    via: "anthropic",
    status: 200,
    stream: { event: "error", before: [messageStart] },
    body: {
      type: "error",
      error: { details: null, type: "rate_limit_error", message: "Rate limited" },
      request_id: "req_011CcEKSiJyvQLd8zW1kBxWe"
    },
    becomes: rateLimit()
  },
  {
    name: "Anthropic: content filter in mid-stream",
    source: issue("anthropics/claude-code", 55789),
    via: "anthropic",
    status: 200,
    stream: { event: "error", before: [messageStart] },
    body: {
      type: "error",
      error: { details: null, type: "invalid_request_error", message: "Output blocked by content filtering policy" },
      request_id: "req_011CafqBB5WP2JwkYebVpeCk"
    },
    becomes: content
  },
  {
    name: "Anthropic: internal error",
    source: issue("anthropics/claude-code", 8123),
    via: "anthropic",
    status: 500,
    body: { type: "error", error: { type: "api_error", message: "Overloaded" }, request_id: null },
    becomes: internal
  },
  {
    name: "Anthropic: rate limit, with the headers of the time",
    source: `${issue("anthropics/claude-code", 71670)} and ${issue("anthropics/anthropic-sdk-typescript", 357)}`,
    via: "anthropic",
    status: 429,
    headers: {
      "anthropic-ratelimit-requests-limit": "5",
      "anthropic-ratelimit-requests-remaining": "0",
      "anthropic-ratelimit-requests-reset": "2024-03-26T20:00:00Z",
      date: "Tue, 26 Mar 2024 19:59:59 GMT",
      "request-id": "req_01T5fCVnYdf9X5ZW6KayReBK",
      "retry-after": "23",
      "x-should-retry": "true"
    },
    body: {
      type: "error",
      error: {
        type: "rate_limit_error",
        message: "This request would exceed your account's rate limit. Please try again later."
      },
      request_id: "req_011CcR9mkMvXdaiWP4739PSN"
    },
    becomes: rateLimit(23_000)
  },
  {
    name: "Anthropic: monthly spend limit, dressed as a rate limit with a wait",
    source: pull("can1357/oh-my-pi", 5418),
    via: "anthropic",
    status: 429,
    headers: { "retry-after": "300" },
    body: {
      type: "error",
      error: {
        type: "rate_limit_error",
        message: "This request would exceed your account's monthly spend limit. Please try again later."
      }
    },
    becomes: quota
  },
  {
    name: "Anthropic: enforced spend limit (documented)",
    source: "https://docs.anthropic.com/en/api/errors",
    via: "anthropic",
    status: 429,
    body: {
      type: "error",
      error: {
        type: "rate_limit_error",
        message: "Your organization has reached its limit.",
        details: { error_code: "enforced_spend_limit_reached" }
      }
    },
    becomes: quota
  },
  {
    name: "Anthropic: long context needs extra usage",
    source: issue("anthropics/claude-code", 44863),
    via: "anthropic",
    status: 429,
    body: {
      type: "error",
      error: { type: "rate_limit_error", message: "Extra usage is required for long context requests." },
      request_id: "req_011CZq3HEEe9nnjBcQov26WS"
    },
    becomes: quota
  },
  {
    name: "Anthropic: no credit",
    source: issue("anthropics/claude-code", 66314),
    via: "anthropic",
    status: 400,
    headers: { "x-should-retry": "false" },
    body: {
      type: "error",
      error: {
        type: "invalid_request_error",
        message:
          "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."
      },
      request_id: "req_011CbrFTcXhtiMzr3s6EocF7"
    },
    becomes: quota
  },
  {
    name: "Anthropic: own usage limit",
    source: issue("anthropics/claude-code", 38035),
    via: "anthropic",
    status: 400,
    body: {
      type: "error",
      error: {
        type: "invalid_request_error",
        message: "You have reached your specified API usage limits. You will regain access on 2026-04-01 at 00:00 UTC."
      },
      request_id: "req_011CZLrUfBVkVHn5T6EqQaf7"
    },
    becomes: quota
  },
  {
    name: "Anthropic: prompt too long",
    source: issue("boldsoftware/exe.dev", 62),
    via: "anthropic",
    status: 400,
    body: {
      type: "error",
      error: { type: "invalid_request_error", message: "prompt is too long: 200251 tokens > 200000 maximum" },
      request_id: "req_011CWdepJvA2D819tdYYq4h7"
    },
    becomes: invalid("messages")
  },
  {
    name: "Anthropic: output blocked",
    source: issue("anthropics/claude-code", 43487),
    via: "anthropic",
    status: 400,
    body: {
      type: "error",
      error: { type: "invalid_request_error", message: "Output blocked by content filtering policy" },
      request_id: "req_011CZibekJwDaAz4R8V6Qc5m"
    },
    becomes: content
  },
  {
    name: "Anthropic: wrong key",
    source: issue("Good-player/free-claude-api-and-anthropic", 14),
    via: "anthropic",
    status: 401,
    body: {
      type: "error",
      error: { type: "authentication_error", message: "invalid x-api-key" },
      request_id: "req_011CXw8h8A796q3f74Ezmhav"
    },
    becomes: auth("InvalidKey")
  },
  {
    name: "Anthropic: forbidden",
    source: issue("enricoros/big-AGI", 176),
    via: "anthropic",
    status: 403,
    body: { error: { type: "forbidden", message: "Request not allowed" } },
    becomes: auth("InsufficientPermissions")
  },
  {
    name: "Anthropic: request too large",
    source: issue("anthropics/anthropic-sdk-python", 938),
    via: "anthropic",
    status: 413,
    body: { error: { type: "request_too_large", message: "Request exceeds the maximum size" } },
    becomes: invalid("messages")
  },

  // ---------------------------------------------------------------------------------------------------------- Google
  {
    name: "Google: resource exhausted",
    source: issue("eastlondoner/vibe-tools", 35),
    via: "compatible",
    status: 429,
    body: [
      {
        error: {
          code: 429,
          message: "Resource has been exhausted (e.g. check quota).",
          status: "RESOURCE_EXHAUSTED"
        }
      }
    ],
    becomes: rateLimit()
  },
  {
    name: "Google: the same as a string in a string",
    source: issue("continuedev/continue", 10560),
    via: "compatible",
    status: 429,
    body: {
      error: {
        message:
          '{\n  "error": {\n    "code": 429,\n    "message": "Resource has been exhausted (e.g. check quota).",\n    "status": "RESOURCE_EXHAUSTED"\n  }\n}\n',
        code: 429,
        status: "Too Many Requests"
      }
    },
    becomes: rateLimit()
  },
  {
    name: "Google: requests per day",
    source: issue("googleapis/python-genai", 2044),
    via: "compatible",
    status: 429,
    body: [
      {
        error: {
          code: 429,
          message:
            "You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
          status: "RESOURCE_EXHAUSTED",
          details: [
            {
              "@type": "type.googleapis.com/google.rpc.QuotaFailure",
              violations: [
                {
                  quotaMetric: "generativelanguage.googleapis.com/generate_content_free_tier_requests",
                  quotaId: "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
                  quotaDimensions: { location: "global", model: "gemini-2.0-flash" }
                }
              ]
            },
            { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "47s" }
          ]
        }
      }
    ],
    becomes: quota
  },
  {
    name: "Google: tokens per minute, in the words of a quota",
    source: pull("dimetron/pi-go", 177),
    via: "compatible",
    status: 429,
    body: [
      {
        error: {
          code: 429,
          message:
            "You exceeded your current quota, please check your plan and billing details. Please retry in 59.44s.",
          status: "RESOURCE_EXHAUSTED",
          details: [
            {
              "@type": "type.googleapis.com/google.rpc.QuotaFailure",
              violations: [{ quotaId: "GenerateContentPaidTierInputTokensPerModelPerMinute" }]
            },
            { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "59s" }
          ]
        }
      }
    ],
    becomes: rateLimit(59_000)
  },
  {
    name: "Google: a model the plan does not have",
    source: issue("docbrain-ai/docbrain", 22),
    via: "compatible",
    status: 429,
    body: [
      {
        error: {
          code: 429,
          message:
            "You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits. To monitor your current usage, head to: https://ai.dev/rate-limit. \n* Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_input_token_count, limit: 0, model: gemini-3.1-pro\n* Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 0, model: gemini-3.1-pro",
          status: "RESOURCE_EXHAUSTED"
        }
      }
    ],
    becomes: quota
  },
  {
    name: "Google: overloaded",
    source: issue("lobehub/lobehub", 9728),
    via: "compatible",
    status: 503,
    body: { error: { code: 503, message: "The model is overloaded. Please try again later.", status: "UNAVAILABLE" } },
    becomes: internal
  },
  {
    name: "Google: no capacity",
    source: issue("google-gemini/gemini-cli", 23520),
    via: "compatible",
    status: 503,
    body: {
      error: {
        code: 503,
        details: [
          {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            domain: "cloudcode-pa.googleapis.com",
            reason: "MODEL_CAPACITY_EXHAUSTED"
          }
        ],
        message: "No capacity available for model on the server",
        status: "UNAVAILABLE"
      }
    },
    becomes: internal
  },
  {
    name: "Google: wrong key, answered with 400",
    source: issue("continuedev/continue", 10290),
    via: "compatible",
    status: 400,
    body: {
      error: {
        message:
          '{\n  "error": {\n    "code": 400,\n    "message": "API key not valid. Please pass a valid API key.",\n    "status": "INVALID_ARGUMENT",\n    "details": [\n      {\n        "@type": "type.googleapis.com/google.rpc.ErrorInfo",\n        "reason": "API_KEY_INVALID",\n        "domain": "googleapis.com",\n        "metadata": {\n          "service": "generativelanguage.googleapis.com"\n        }\n      },\n      {\n        "@type": "type.googleapis.com/google.rpc.LocalizedMessage",\n        "locale": "en-US",\n        "message": "API key not valid. Please pass a valid API key."\n      }\n    ]\n  }\n}\n',
        code: 400,
        status: "Bad Request"
      }
    },
    becomes: auth("InvalidKey")
  },
  {
    name: "Google: expired key",
    source: issue("continuedev/continue", 11336),
    via: "compatible",
    status: 400,
    body: [
      {
        error: {
          code: 400,
          message: "API key expired. Please renew the API key.",
          status: "INVALID_ARGUMENT",
          details: [
            {
              "@type": "type.googleapis.com/google.rpc.ErrorInfo",
              reason: "API_KEY_INVALID",
              domain: "googleapis.com",
              metadata: { service: "generativelanguage.googleapis.com" }
            }
          ]
        }
      }
    ],
    becomes: auth("ExpiredKey")
  },

  // --------------------------------------------------------------------------------------------------------- Mistral
  {
    name: "Mistral: rate limited",
    source: issue("raycast/extensions", 31107),
    via: "compatible",
    status: 429,
    body: {
      object: "error",
      message: "Rate limit exceeded",
      type: "rate_limited",
      param: null,
      code: "1300",
      raw_status_code: 429
    },
    becomes: rateLimit()
  },
  {
    name: "Mistral: rate limited, without an envelope",
    source: issue("pydantic/pydantic-ai", 1885),
    via: "compatible",
    status: 429,
    body: { message: "Requests rate limit exceeded" },
    becomes: rateLimit()
  },
  {
    name: "Mistral: no capacity in the tier, typed as an invalid request",
    source: issue("continuedev/continue", 6185),
    via: "compatible",
    status: 429,
    body: {
      object: "error",
      message: "Service tier capacity exceeded for this model.",
      type: "invalid_request_error",
      param: null,
      code: null
    },
    becomes: rateLimit()
  },
  {
    name: "Mistral: unknown parameter, an object for a message",
    source: issue("editor-code-assistant/eca", 231),
    via: "compatible",
    status: 422,
    body: {
      object: "error",
      message: {
        detail: [
          {
            type: "extra_forbidden",
            loc: ["body", "max_completion_tokens"],
            msg: "Extra inputs are not permitted",
            input: 32000
          }
        ]
      },
      type: "invalid_request_error",
      param: null,
      code: null
    },
    becomes: invalid("max_completion_tokens")
  },

  // -------------------------------------------------------------------------------------------------------- DeepSeek
  {
    name: "DeepSeek: no balance",
    source: issue("Aider-AI/aider", 4851),
    via: "compatible",
    status: 402,
    body: {
      error: { message: "Insufficient Balance", type: "unknown_error", param: null, code: "invalid_request_error" }
    },
    becomes: quota
  },
  {
    name: "DeepSeek: wrong key",
    source: issue("elizaOS/eliza", 3013),
    via: "compatible",
    status: 401,
    body: {
      error: {
        message: "Authentication Fails (no such user)",
        type: "authentication_error",
        param: null,
        code: "invalid_request_error"
      }
    },
    becomes: auth("InvalidKey")
  },
  {
    name: "DeepSeek: content refused",
    source: issue("666ghj/BettaFish", 108),
    via: "compatible",
    status: 400,
    body: {
      error: {
        message: "Content Exists Risk",
        type: "invalid_request_error",
        param: null,
        code: "invalid_request_error"
      }
    },
    becomes: content
  },

  // ------------------------------------------------------------------------------------------------------ OpenRouter
  {
    name: "OpenRouter: limited upstream",
    source: issue("open-webui/computer", 293),
    via: "compatible",
    status: 429,
    body: {
      error: {
        message: "Provider returned error",
        code: 429,
        metadata: {
          raw: "z-ai/glm-5.3-flash is temporarily rate-limited upstream. Please retry shortly, or add your own key to accumulate your rate limits: ...",
          provider_name: "BaseTen",
          limit_source: "upstream_provider_shared_pool"
        }
      }
    },
    becomes: rateLimit()
  },
  {
    name: "OpenRouter: somebody else's error, as a string",
    source: pull("reVrost/go-openrouter", 21),
    via: "compatible",
    status: 400,
    body: {
      error: {
        message: "Provider returned error",
        code: 400,
        metadata: {
          raw: '{\n  "error": {\n    "message": "Response input messages must contain the word \'json\' in some form to use \'text.format\' of type \'json_object\'.",\n    "type": "invalid_request_error",\n    "param": "input",\n    "code": null\n  }\n}',
          provider_name: "OpenAI"
        }
      },
      user_id: "org_1"
    },
    becomes: invalid("input")
  },
  {
    name: "OpenRouter: credits",
    source: issue("astrio-labs/forall", 76),
    via: "compatible",
    status: 402,
    body: {
      error: {
        message:
          "This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only afford 2666. To increase, visit https://openrouter.ai/settings/credits and upgrade to a paid account",
        code: 402,
        metadata: { provider_name: null }
      },
      user_id: "user_1"
    },
    becomes: quota
  },
  {
    name: "OpenRouter: free models per day, answered with 429",
    source: issue("Gitlawb/openclaude", 936),
    via: "compatible",
    status: 429,
    body: {
      error: {
        message: "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day",
        code: 429,
        metadata: { headers: { "X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0" } }
      }
    },
    becomes: quota
  },
  {
    name: "OpenRouter: an error inside a good answer",
    source: issue("BerriAI/litellm", 8448),
    via: "compatible",
    status: 200,
    body: {
      error: {
        message: "Provider returned error",
        code: 429,
        metadata: { raw: "error code: 1015", provider_name: "Kluster" }
      },
      user_id: "user_1"
    },
    becomes: rateLimit()
  },

  // ------------------------------------------------------------------------------------------------------------- xAI
  {
    name: "xAI: wrong key, answered with 400",
    source: issue("hotovo/aider-desk", 653),
    via: "compatible",
    status: 400,
    body: {
      code: "Client specified an invalid argument",
      error: "Incorrect API key provided: sk***gA. You can obtain an API key from https://console.x.ai."
    },
    becomes: auth("InvalidKey")
  },
  {
    name: "xAI: bad message",
    source: issue("nocmt/LLMSearchPlus", 2),
    via: "compatible",
    status: 400,
    body: {
      code: "Client specified an invalid argument",
      error: "The model expects a single `text` element per message."
    },
    becomes: invalid()
  },
  {
    // The source shows the text; the envelope is that of xAI's other errors
    name: "xAI: credits, answered with 429",
    source: issue("continuedev/continue", 10373),
    via: "compatible",
    status: 429,
    body: {
      code: "Some resource has been exhausted",
      error:
        "Your team 16f2151a has either used all available credits or reached its monthly spending limit. To continue making API requests, please purchase more credits or raise your spending limit."
    },
    becomes: quota
  },

  // --------------------------------------------------------------------------------------------- Bedrock and gateways
  {
    name: "Bedrock: throttled",
    source: issue("aws-samples/amazon-bedrock-client-for-mac", 99),
    via: "compatible",
    status: 429,
    headers: {
      date: "Mon, 12 May 2025 11:11:55 GMT",
      "x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/",
      "x-amzn-requestid": "ca47a5ce-e260-4824-aa0e-2e62669d5d6e"
    },
    body: { message: "Too many tokens, please wait before trying again." },
    becomes: rateLimit()
  },
  {
    name: "Bedrock: input too long",
    source: issue("aws-samples/assessment-generator", 2),
    via: "compatible",
    status: 400,
    headers: { "x-amzn-errortype": "ValidationException" },
    body: { message: "Input is too long for requested model." },
    becomes: invalid("messages")
  },
  {
    name: "vLLM: context length",
    source: issue("HKUSTDial/Alpha-SQL", 5),
    via: "compatible",
    status: 400,
    body: {
      object: "error",
      message:
        "This model's maximum context length is 32768 tokens. However, you requested 41648 tokens (37552 in the messages, 4096 in the completion). Please reduce the length of the messages or completion. None",
      type: "BadRequestError",
      param: null,
      code: 400
    },
    becomes: invalid("messages")
  },
  {
    name: "Ollama: overloaded, a string for an error",
    source: issue("ollama/ollama", 15934),
    via: "compatible",
    status: 503,
    body: { error: "Server overloaded, please retry shortly (ref: aaa65c70-cfa0-446b-86f1-4ab0e2deb9e4)" },
    becomes: internal
  },
  {
    name: "LM Studio: compute error inside a stream",
    source: pull("zendev-sh/goai", 110),
    via: "compatible",
    status: 200,
    stream: { before: [chatChunk] },
    body: { error: { message: "Compute error." }, message: "Compute error." },
    becomes: internal
  },
  {
    name: "Gateway: Cloudflare waited in vain",
    source: issue("QuantumNous/new-api", 556),
    via: "compatible",
    status: 524,
    body: { error: { message: "", type: "upstream_error", param: "524", code: "bad_response_status_code" } },
    becomes: internal
  },
  {
    name: "Gateway: nothing but a status",
    source: issue("earendil-works/pi", 9627),
    via: "compatible",
    status: 520,
    body: "",
    becomes: internal
  },
  {
    name: "Volcano: key missing",
    source: issue("sunzsh/favoritesWorkflow4Alfred", 17),
    via: "compatible",
    status: 401,
    body: {
      error: {
        code: "AuthenticationError",
        message: "The API key in the request is missing or invalid. Request id: 02175",
        param: "",
        type: "Unauthorized"
      }
    },
    becomes: auth("InvalidKey")
  }
]
