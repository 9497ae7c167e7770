/**
 * What the server behind a {@link ProviderContract} has to answer: plain data, to be played by any server that speaks
 * the provider's wire format.
 */

/** One thing to answer. The first line whose conditions all hold is the one to play. */
export interface Line {
  /** What to look for in the request. Every text given must be contained in the place named. */
  readonly when: {
    /** In the last user message. */
    readonly user: string
    /** In the system messages. */
    readonly system?: string | undefined
    /** In an earlier assistant message. */
    readonly assistant?: string | undefined
    /** In the result of a tool, sent after the last user message. */
    readonly toolResult?: string | undefined
  }
  readonly reply: Reply
}

export type Reply = Answer | Rejection

/** A successful answer. */
export interface Answer {
  readonly text?: string | undefined
  readonly toolCall?: { readonly id: string; readonly name: string; readonly params: object } | undefined
  /** Default: `stop`, or `tool-calls` when there is a tool call. */
  readonly finishReason?: "stop" | "length" | undefined
  readonly usage?: { readonly inputTokens: number; readonly outputTokens: number } | undefined
  /** The response's id and the model that answered. Default: the server's choice. */
  readonly id?: string | undefined
  readonly model?: string | undefined
}

/** An HTTP error in the provider's own format. */
export interface Rejection {
  readonly status: number
  readonly code: string
  readonly message: string
  /** The `retry-after` header, in seconds. */
  readonly retryAfterSeconds?: number | undefined
}

/** The tool that is offered in the laws about tools. */
export const tool = { name: "Weather", id: "call_contract_1", params: { city: "Rome" } } as const

export const script: ReadonlyArray<Line> = [
  { when: { user: "contract: plain" }, reply: { text: "Anchors hold what currents would carry away." } },
  { when: { user: "contract: unicode" }, reply: { text: "Kelp holds — 海藻, 🌊, naïve, “quotes”." } },
  {
    when: { user: "contract: system", system: "Answer as a harbour master." },
    reply: { text: "The harbour master answers." }
  },
  {
    when: { user: "contract: turns", assistant: "The tide is at six." },
    reply: { text: "You were told: at six." }
  },
  {
    when: { user: "contract: tool", toolResult: "21 degrees" },
    reply: { text: "It is 21 degrees in Rome." }
  },
  { when: { user: "contract: tool" }, reply: { toolCall: tool } },
  {
    when: { user: "contract: object" },
    reply: { text: `{"name":"Macrocystis","metres":45.5,"tags":["kelp","brown"]}` }
  },
  {
    when: { user: "contract: usage" },
    reply: { text: "Counted.", usage: { inputTokens: 11, outputTokens: 7 } }
  },
  { when: { user: "contract: length" }, reply: { text: "This was cut by the", finishReason: "length" } },
  {
    when: { user: "contract: metadata" },
    reply: { text: "Signed.", id: "answer-contract-1", model: "model-contract-1" }
  },
  {
    when: { user: "contract: limited" },
    reply: { status: 429, code: "rate_limit_exceeded", message: "Too many requests.", retryAfterSeconds: 7 }
  },
  { when: { user: "contract: broken" }, reply: { status: 500, code: "server_error", message: "The server failed." } }
]
