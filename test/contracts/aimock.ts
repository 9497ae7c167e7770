/** Plays the `ProviderScript` on a real HTTP server that speaks the wire formats of OpenAI and Anthropic. */
import { LLMock } from "@copilotkit/aimock"
import { Effect, type Scope } from "effect"
import { type ProviderContract, ProviderScript } from "holdfast/testing"

interface Message {
  readonly role: string
  readonly content: unknown
}

const textOf = (content: unknown): string =>
  typeof content === "string"
    ? content
    : Array.isArray(content)
      ? content.map((part) => (typeof part?.text === "string" ? part.text : "")).join("")
      : ""

const isContained = (part: string | undefined, messages: ReadonlyArray<Message>) =>
  part === undefined || messages.some((message) => textOf(message.content).includes(part))

const matches = (when: ProviderScript.Line["when"], messages: ReadonlyArray<Message>): boolean => {
  const asked = messages.findLastIndex((message) => message.role === "user")
  const role = (name: string, among: ReadonlyArray<Message>) => among.filter((message) => message.role === name)
  return (
    asked >= 0 &&
    isContained(when.user, messages.slice(asked, asked + 1)) &&
    isContained(when.system, role("system", messages)) &&
    isContained(when.assistant, role("assistant", messages)) &&
    isContained(when.toolResult, role("tool", messages.slice(asked)))
  )
}

const toFixture = (reply: ProviderScript.Reply) => {
  if ("status" in reply) {
    const { code, message, retryAfterSeconds, status } = reply
    return {
      status,
      error: { message, code, type: code },
      ...(retryAfterSeconds === undefined ? {} : { retryAfter: retryAfterSeconds })
    }
  }
  const { finishReason, id, model, text, toolCall, usage } = reply
  const overrides = {
    ...(finishReason === undefined ? {} : { finishReason }),
    ...(id === undefined ? {} : { id }),
    ...(model === undefined ? {} : { model }),
    ...(usage === undefined
      ? {}
      : { usage: { prompt_tokens: usage.inputTokens, completion_tokens: usage.outputTokens, total_tokens: 18 } })
  }
  return toolCall === undefined
    ? { content: text ?? "", ...overrides }
    : { toolCalls: [{ id: toolCall.id, name: toolCall.name, arguments: { ...toolCall.params } }], ...overrides }
}

/** Starts the server on a free port; closing the scope stops it. */
export const server: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(async () => {
    const mock = new LLMock({ port: 0, host: "127.0.0.1", logLevel: "silent", chunkSize: 4 })
    for (const { reply, when } of ProviderScript.script) {
      mock.on({ predicate: (request) => matches(when, request.messages) }, toFixture(reply))
    }
    await mock.start()
    return mock
  }),
  (mock) => Effect.promise(() => mock.stop())
).pipe(Effect.map((mock) => mock.url))

type Body = { readonly [key: string]: unknown }
const isBody = (value: unknown): value is Body => typeof value === "object" && value !== null

/** Reads the tools of a request in any of the three wire formats. */
export const readTools = (body: unknown): ProviderContract.ToolsSeen => {
  const { tool_choice, tools } = isBody(body) ? body : {}
  const named = (value: unknown): string => {
    if (!isBody(value)) return typeof value === "string" ? value : "none"
    const inner = isBody(value["function"]) ? value["function"] : value
    if (typeof inner["name"] === "string") return inner["name"]
    return value["type"] === "any" ? "required" : String(value["type"])
  }
  return { choice: named(tool_choice), tools: Array.isArray(tools) ? tools.map(named) : [] }
}
