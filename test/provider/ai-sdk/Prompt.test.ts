import type { LanguageModelV4Message } from "@ai-sdk/provider"
import { describe, expect, it } from "@effect/vitest"
import { Prompt } from "effect/ai"
import { toPrompt } from "../../../src/provider/ai-sdk/Prompt.ts"

const bytes = new Uint8Array([1, 2, 3])
const image = new URL("https://example.com/kelp.png")

/** What the model sees of one message. */
const sent = (message: Prompt.MessageEncoded, ...before: Array<Prompt.MessageEncoded>) =>
  toPrompt(Prompt.make([...before, message])).slice(before.length)

const user = (part: Prompt.UserMessagePartEncoded) => {
  const [message] = sent({ role: "user", content: [part] })
  return message?.role === "user" ? message.content : []
}

const assistant = (part: Prompt.AssistantMessagePartEncoded) => {
  const [message] = sent({ role: "assistant", content: [part] })
  return message?.role === "assistant" ? message.content : []
}

const output = (result: Partial<Prompt.ToolResultPartEncoded>) => {
  const part = { type: "tool-result" as const, id: "c1", name: "Weather", isFailure: false, result: null, ...result }
  const [message] = sent({ role: "tool", content: [part] })
  const [content] = message?.role === "tool" ? message.content : []
  return content?.type === "tool-result" ? content.output : undefined
}

describe("messages", () => {
  it("keep their role, order and text", () => {
    const prompt = Prompt.make([
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hello" },
      { role: "assistant", content: "Hi" },
      { role: "user", content: "Bye" }
    ])
    expect(toPrompt(prompt)).toEqual([
      { role: "system", content: "Be brief." },
      { role: "user", content: [{ type: "text", text: "Hello" }] },
      { role: "assistant", content: [{ type: "text", text: "Hi" }] },
      { role: "user", content: [{ type: "text", text: "Bye" }] }
    ])
  })

  it.each([
    { role: "system", content: "a" },
    { role: "user", content: [{ type: "text", text: "a" }] },
    { role: "assistant", content: [{ type: "text", text: "a" }] },
    {
      role: "tool",
      content: [{ type: "tool-result", id: "c", name: "t", isFailure: false, result: "r" }]
    }
  ] satisfies Array<Prompt.MessageEncoded>)("of role $role carry their provider options", (message) => {
    const options = { anthropic: { cacheControl: { type: "ephemeral" } }, openai: null, aiSdk: { custom: "a.b" } }
    expect(sent({ ...message, options })[0]?.providerOptions).toEqual({
      anthropic: { cacheControl: { type: "ephemeral" } }
    })
  })

  it("of an assistant or a tool that are left empty are not sent", () => {
    const request = { type: "tool-approval-request", approvalId: "a1", toolCallId: "c1" } as const
    const response = { type: "tool-approval-response", approvalId: "a1", approved: true } as const
    const prompt = Prompt.make([
      { role: "user", content: "Hello" },
      { role: "assistant", content: [request] },
      { role: "tool", content: [response] }
    ])
    expect(toPrompt(prompt).map((message) => message.role)).toEqual(["user"])
  })
})

describe("parts of a user message", () => {
  it.each<[string, Prompt.UserMessagePartEncoded, unknown]>([
    ["text", { type: "text", text: "Hello" }, { type: "text", text: "Hello" }],
    [
      "bytes",
      { type: "file", mediaType: "image/png", data: bytes },
      { type: "file", mediaType: "image/png", data: { type: "data", data: bytes } }
    ],
    [
      "base64",
      { type: "file", mediaType: "application/pdf", fileName: "a.pdf", data: "AQID" },
      { type: "file", mediaType: "application/pdf", filename: "a.pdf", data: { type: "data", data: "AQID" } }
    ],
    [
      "a URL",
      { type: "file", mediaType: "image/png", data: image },
      { type: "file", mediaType: "image/png", data: { type: "url", url: image } }
    ],
    [
      "a URL as text",
      { type: "file", mediaType: "image/png", data: image.href },
      { type: "file", mediaType: "image/png", data: { type: "url", url: image } }
    ],
    [
      "a URI that parsing would change",
      { type: "file", mediaType: "image/png", data: "HTTPS://example.com/kelp.png" },
      {
        type: "file",
        mediaType: "image/png",
        data: { type: "url", url: image, originalUrl: "HTTPS://example.com/kelp.png" }
      }
    ],
    [
      "a base64 data URL",
      { type: "file", mediaType: "image/png", data: "data:image/png;base64,AQID" },
      { type: "file", mediaType: "image/png", data: { type: "data", data: "AQID" } }
    ],
    [
      "a data URL as URL",
      { type: "file", mediaType: "image/png", data: new URL("data:image/png;base64,AQID") },
      { type: "file", mediaType: "image/png", data: { type: "data", data: "AQID" } }
    ],
    [
      "a data URL of text, with an escape that escapes nothing",
      { type: "file", mediaType: "text/plain", data: "data:text/plain,a%20%E2%9C%93%zz%ff" },
      { type: "file", mediaType: "text/plain", data: { type: "data", data: new TextEncoder().encode("a ✓%zz%ff") } }
    ],
    [
      "options",
      { type: "text", text: "Hello", options: { anthropic: { cacheControl: { type: "ephemeral" } } } },
      { type: "text", text: "Hello", providerOptions: { anthropic: { cacheControl: { type: "ephemeral" } } } }
    ]
  ])("send %s", (_, part, expected) => {
    expect(user(part)).toEqual([expected])
  })
})

describe("parts of an assistant message", () => {
  it.each<[string, Prompt.AssistantMessagePartEncoded, unknown]>([
    ["text", { type: "text", text: "Hi" }, { type: "text", text: "Hi" }],
    [
      "reasoning with its signature",
      { type: "reasoning", text: "hm", options: { anthropic: { signature: "s" } } },
      { type: "reasoning", text: "hm", providerOptions: { anthropic: { signature: "s" } } }
    ],
    [
      "a file",
      { type: "file", mediaType: "image/png", data: "AQID" },
      { type: "file", mediaType: "image/png", data: { type: "data", data: "AQID" } }
    ],
    [
      "a file of the reasoning",
      { type: "file", mediaType: "image/png", data: "AQID", options: { aiSdk: { reasoning: true } } },
      { type: "reasoning-file", mediaType: "image/png", data: { type: "data", data: "AQID" } }
    ],
    [
      "a provider's own block",
      { type: "text", text: "", options: { aiSdk: { custom: "openai.compaction" }, openai: { itemId: "i" } } },
      { type: "custom", kind: "openai.compaction", providerOptions: { openai: { itemId: "i" } } }
    ],
    [
      "a tool call",
      { type: "tool-call", id: "c1", name: "Weather", params: { city: "Rome" } },
      { type: "tool-call", toolCallId: "c1", toolName: "Weather", input: { city: "Rome" } }
    ],
    [
      "a tool call that the provider executes",
      { type: "tool-call", id: "c1", name: "search", params: {}, providerExecuted: true },
      { type: "tool-call", toolCallId: "c1", toolName: "search", input: {}, providerExecuted: true }
    ],
    [
      "a result of the provider's tool",
      { type: "tool-result", id: "c1", name: "search", isFailure: false, result: { a: 1 }, providerExecuted: true },
      { type: "tool-result", toolCallId: "c1", toolName: "search", output: { type: "json", value: { a: 1 } } }
    ]
  ])("send %s", (_, part, expected) => {
    expect(assistant(part)).toEqual([expected])
  })

  it("leave the application's own results to tool messages, in place", () => {
    const call = { type: "tool-call", id: "c1", name: "Weather", params: {} } as const
    const result = { type: "tool-result", id: "c1", name: "Weather", isFailure: false, result: "sun" } as const
    const roles = sent({ role: "assistant", content: [call, result, { type: "text", text: "It is sunny." }] })
    expect(roles.map((message: LanguageModelV4Message) => [message.role, message.content[0]])).toMatchObject([
      ["assistant", { type: "tool-call" }],
      ["tool", { type: "tool-result", output: { type: "text", value: "sun" } }],
      ["assistant", { type: "text" }]
    ])
  })
})

describe("results of a tool", () => {
  it.each<[string, Partial<Prompt.ToolResultPartEncoded>, unknown]>([
    ["text", { result: "sunny" }, { type: "text", value: "sunny" }],
    ["an object", { result: { degrees: 21, note: undefined } }, { type: "json", value: { degrees: 21 } }],
    ["nothing", { result: undefined }, { type: "json", value: null }],
    ["a failure in words", { isFailure: true, result: "no such city" }, { type: "error-text", value: "no such city" }],
    ["a failure", { isFailure: true, result: { code: 7 } }, { type: "error-json", value: { code: 7 } }],
    [
      "a denial",
      { isFailure: true, result: { type: "execution-denied", reason: "no" } },
      { type: "execution-denied", reason: "no" }
    ],
    [
      "a denial without a reason",
      { isFailure: true, result: { type: "execution-denied" } },
      { type: "execution-denied" }
    ],
    [
      "what was made for the model, as text",
      {
        result: { secret: 1 },
        modelOutput: [
          { type: "text", text: "a" },
          { type: "text", text: "b" }
        ]
      },
      { type: "text", value: "a\nb" }
    ],
    [
      "what was made for the model, with a file",
      {
        modelOutput: [
          { type: "text", text: "a" },
          { type: "file", mediaType: "image/png", data: bytes }
        ]
      },
      {
        type: "content",
        value: [
          { type: "text", text: "a" },
          { type: "file", mediaType: "image/png", data: { type: "data", data: bytes } }
        ]
      }
    ]
  ])("send %s", (_, result, expected) => {
    expect(output(result)).toEqual(expected)
  })
})

describe("approvals", () => {
  const asked = (providerExecuted: boolean): Prompt.MessageEncoded => ({
    role: "assistant",
    content: [
      { type: "tool-call", id: "c1", name: "deploy", params: {}, providerExecuted },
      { type: "tool-approval-request", approvalId: "a1", toolCallId: "c1" }
    ]
  })
  const answer: Prompt.MessageEncoded = {
    role: "tool",
    content: [{ type: "tool-approval-response", approvalId: "a1", approved: false, reason: "too late" }]
  }

  it("are sent for tools the provider executes", () => {
    expect(sent(answer, asked(true))).toEqual([
      {
        role: "tool",
        content: [{ type: "tool-approval-response", approvalId: "a1", approved: false, reason: "too late" }]
      }
    ])
  })

  it("are not sent for the application's own tools", () => {
    expect(sent(answer, asked(false))).toEqual([])
  })

  it("are not requested from a provider: it knows its own", () => {
    const [message] = sent(asked(true))
    expect(message?.role === "assistant" && message.content.map((part) => part.type)).toEqual(["tool-call"])
  })
})
