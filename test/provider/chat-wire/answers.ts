/** Recorded answers, whole and as the chunks in which the same answer is streamed, and a reader for both. */
import { type Chance } from "../../../src/testing/seed/Chance.ts"
import { AnswerBody } from "../../../src/provider/chat-wire/AnswerBody.ts"
import * as OptionCheck from "../../../src/core/OptionCheck.ts"
import * as Limits from "../../../src/provider/chat-wire/Limits.ts"
import * as WholeParts from "../../../src/core/stream/WholeParts.ts"
import * as OfferedTools from "../../../src/provider/tools/OfferedTools.ts"
import { LanguageModel, type Response, type Tool } from "effect/ai"

export interface Recorded {
  readonly name: string
  readonly message: Record<string, unknown>
  readonly finish: string
  readonly more?: Record<string, unknown>
  readonly choice?: Record<string, unknown>
}

const call = (id: string, name: string, args: string) => ({ id, type: "function", function: { name, arguments: args } })

export const recorded: ReadonlyArray<Recorded> = [
  { name: "text", message: { content: 'Kelp is no plant. It is "brown" algae.\n海藻 🌊' }, finish: "stop" },
  { name: "no text", message: { content: "" }, finish: "stop" },
  { name: "cut by its length", message: { content: "Kelp is" }, finish: "length" },
  {
    name: "DeepSeek: reasoning_content",
    message: { reasoning_content: "Think of kelp.", content: "Kelp." },
    finish: "stop"
  },
  {
    name: "OpenRouter: reasoning, its details, images",
    message: {
      reasoning: "Think.",
      reasoning_details: [{ type: "reasoning.text", text: "Think." }],
      content: "Kelp.",
      images: [{ type: "image_url", image_url: { url: "data:image/png;base64,aGk=" } }]
    },
    finish: "stop",
    choice: { native_finish_reason: "completed" },
    more: { provider: "x" }
  },
  {
    name: "two tool calls, text before them",
    message: {
      content: "Let me see.",
      tool_calls: [call("a", "Tides", '{"harbour":"Brest"}'), call("b", "Tides", "{}")]
    },
    finish: "tool_calls"
  },
  {
    name: "Ollama: stop after a call",
    message: { content: "", tool_calls: [call("a", "T", '{"x":1}')] },
    finish: "stop"
  },
  {
    name: "calls without ids",
    message: { tool_calls: [call("", "T", "{}"), call("", "T", "{}")] },
    finish: "tool_calls"
  },
  {
    name: "calls that share an id",
    message: { tool_calls: [call("a", "T", "1"), call("a", "T", "2")] },
    finish: "tool_calls"
  },
  { name: "a refusal", message: { refusal: "I cannot." }, finish: "stop" },
  { name: "filtered", message: { content: "Ke" }, finish: "content_filter" },
  {
    name: "usage with details, logprobs, unknown fields",
    message: { content: "Kelp.", annotations: [{ type: "url_citation" }] },
    finish: "stop",
    choice: { logprobs: { content: [{ token: "Kelp.", logprob: -0.5 }], refusal: null } },
    more: { system_fingerprint: "fp_1", service_tier: "default" }
  },
  { name: "a reason of its own", message: { content: "x" }, finish: "repetition" }
]

const usage = {
  prompt_tokens: 100,
  completion_tokens: 20,
  total_tokens: 120,
  prompt_tokens_details: { cached_tokens: 40 },
  completion_tokens_details: { reasoning_tokens: 5 }
}
const head = { id: "chatcmpl-1", created: 1_789_466_192, model: "kelp-1" }

export const whole = ({ choice, finish, message, more }: Recorded): unknown => ({
  ...head,
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: finish, ...choice }],
  usage,
  ...more
})

/** The chunks of the same answer, its texts cut where chance likes. */
export const chunks = ({ choice, finish, message, more }: Recorded, chance: Chance): ReadonlyArray<unknown> => {
  const delta = (delta: object, finish_reason: unknown = null, rest = {}) => ({
    ...head,
    ...more,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, finish_reason, ...rest }]
  })
  const pieces = (text: string): ReadonlyArray<string> => {
    const signs = [...text]
    const cut: Array<string> = []
    while (signs.length > 0) cut.push(signs.splice(0, 1 + chance.below(4)).join(""))
    return text === "" ? [""] : cut
  }
  const all: Array<unknown> = [delta({ role: "assistant", content: "" })]
  for (const [name, value] of Object.entries(message)) {
    if (typeof value === "string") for (const piece of pieces(value)) all.push(delta({ [name]: piece }))
    else if (name === "tool_calls" && Array.isArray(value)) {
      for (const [index, each] of value.entries()) {
        const { arguments: args, name } = each.function
        all.push(delta({ tool_calls: [{ ...each, index, function: { name, arguments: "" } }] }))
        for (const piece of pieces(args)) all.push(delta({ tool_calls: [{ index, function: { arguments: piece } }] }))
      }
    } else all.push(delta({ [name]: value }))
  }
  const rest = chance.below(2) === 0 ? { ...choice } : choice
  all.push(delta({}, finish, rest), { ...head, ...more, choices: [], usage })
  return all
}

/** The chunks as an event stream, with noise that says nothing. */
export const stream = (chunks: ReadonlyArray<unknown>, chance: Chance): string => {
  const end = chance.oneOf(["\n", "\r\n", "\r"])
  const noise = () => chance.oneOf(["", "", `: keep-alive${end}${end}`, `event: chunk${end}`])
  const bom = chance.oneOf(["", "\uFEFF"])
  const events = chunks.map((chunk) => `${noise()}data: ${JSON.stringify(chunk)}${end}${end}`)
  return `${bom}${events.join("")}data: [DONE]${end}${end}`
}

/** Cuts bytes wherever chance likes. */
export const cut = (bytes: Buffer, chance: Chance, most: number): ReadonlyArray<Buffer> => {
  const pieces: Array<Buffer> = []
  for (let at = 0; at < bytes.length;) {
    const to = at + 1 + chance.below(most)
    pieces.push(bytes.subarray(at, to))
    at = to
  }
  return pieces
}

const props = (limits: Limits.Limits, tools: ReadonlyArray<Tool.Any> = []) => ({
  tools: OfferedTools.make(tools, LanguageModel.defaultCodecTransformer),
  limits: Limits.resolve(limits, OptionCheck.of("Test")),
  provider: "mine",
  requestId: undefined
})

/** Begins to read an answer, whose end may be refused. */
export const begin = (limits: Limits.Limits) => {
  const out: Array<Response.StreamPartEncoded> = []
  const body = new AnswerBody(props(limits))
  const end = () => {
    try {
      body.end(out, undefined)
    } catch {
      // It is held until here all the same.
    }
  }
  return { feed: (piece: Buffer) => body.feed(piece, out), end }
}

/** Reads a body as it comes, as a call does. Throws what is wrong with it. */
export const read = (
  pieces: ReadonlyArray<Buffer>,
  limits: Limits.Limits = {},
  tools?: ReadonlyArray<Tool.Any>
): Array<Response.StreamPartEncoded> => {
  const out: Array<Response.StreamPartEncoded> = []
  const body = new AnswerBody(props(limits, tools))
  for (const piece of pieces) body.feed(piece, out)
  body.end(out, undefined)
  return out
}

export const readWhole = (pieces: ReadonlyArray<Buffer>): Array<Response.PartEncoded> => WholeParts.of(read(pieces))
