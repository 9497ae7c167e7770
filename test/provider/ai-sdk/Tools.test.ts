import { describe, expect, it } from "@effect/vitest"
import { Schema } from "effect"
import { LanguageModel, OpenAiStructuredOutput, Tool } from "effect/ai"
import { ToolOptions, toResponseFormat, toTools } from "../../../src/provider/ai-sdk/Tools.ts"
import { make as offeredTools } from "../../../src/provider/tools/OfferedTools.ts"

const plain = LanguageModel.defaultCodecTransformer
const openai = OpenAiStructuredOutput.toCodecOpenAI

const Weather = Tool.make("Weather", {
  description: "The weather of a city",
  parameters: Schema.Struct({ city: Schema.String, day: Schema.optionalKey(Schema.String) })
})
const Tides = Tool.make("Tides")

const sent = (tool: Tool.Any, transformer = plain) =>
  toTools({ tools: [tool], toolChoice: "auto" }, transformer).tools?.[0]

describe("a tool", () => {
  it("is sent with its description and the JSON schema of its parameters", () => {
    expect(sent(Weather)).toEqual({
      type: "function",
      name: "Weather",
      description: "The weather of a city",
      inputSchema: Tool.getJsonSchema(Weather)
    })
    expect(sent(Weather)).toMatchObject({ inputSchema: { type: "object", required: ["city"] } })
  })

  it("without parameters is sent as one that takes an empty object", () => {
    expect(sent(Tides)).toMatchObject({ inputSchema: { type: "object" } })
  })

  it("that is strict is sent so, in the provider's dialect", () => {
    expect(sent(Weather.annotate(Tool.Strict, true), openai)).toMatchObject({
      strict: true,
      inputSchema: { type: "object", required: ["city", "day"], additionalProperties: false }
    })
  })

  it("that is explicitly not strict is sent so, with its plain schema", () => {
    expect(sent(Weather.annotate(Tool.Strict, false), openai)).toMatchObject({
      strict: false,
      inputSchema: { required: ["city"] }
    })
  })

  it("carries the options meant for the provider", () => {
    const options = { anthropic: { cacheControl: { type: "ephemeral" } } }
    expect(sent(Weather.annotate(ToolOptions, options))).toMatchObject({ providerOptions: options })
  })

  it("that is dynamic is sent with the JSON schema it was made with", () => {
    const schema = { type: "object", properties: { q: { type: "string" } } }
    expect(sent(Tool.dynamic("anything", { parameters: schema }))).toMatchObject({
      name: "anything",
      inputSchema: schema
    })
  })

  it("that is dynamic and accepts anything is sent as one that takes an object", () => {
    expect(sent(Tool.dynamic("anything"))).toMatchObject({ inputSchema: { type: "object" } })
  })

  it("that the provider defines is sent by its id, with its arguments and no failure mode", () => {
    const Search = Tool.providerDefined({
      id: "openai.web_search",
      customName: "search",
      providerName: "web_search",
      requiresHandler: true,
      args: Schema.Struct({ searchContextSize: Schema.String })
    })
    expect(sent(Search({ searchContextSize: "low", failureMode: "return" }))).toEqual({
      type: "provider",
      id: "openai.web_search",
      name: "search",
      args: { searchContextSize: "low" }
    })
  })
})

describe("the tool choice", () => {
  const tools = [Weather, Tides]

  it.each<[LanguageModel.ToolChoice<string>, unknown, ReadonlyArray<string>]>([
    ["auto", { type: "auto" }, ["Weather", "Tides"]],
    ["none", { type: "none" }, ["Weather", "Tides"]],
    ["required", { type: "required" }, ["Weather", "Tides"]],
    [{ tool: "Tides" }, { type: "tool", toolName: "Tides" }, ["Weather", "Tides"]],
    [{ oneOf: ["Tides"] }, { type: "auto" }, ["Tides"]],
    [{ mode: "required", oneOf: ["Tides"] }, { type: "required" }, ["Tides"]]
  ])("%j is sent as %j", (toolChoice, expected, names) => {
    const request = toTools({ tools, toolChoice }, plain)
    expect(request.toolChoice).toEqual(expected)
    expect(request.tools?.map((tool) => tool.name)).toEqual(names)
  })

  it("is left out when there are no tools", () => {
    expect(toTools({ tools: [], toolChoice: "auto" }, plain)).toEqual({})
  })
})

describe("the parameters of a tool call", () => {
  const { readParams: read } = offeredTools([Weather.annotate(Tool.Strict, true), Tides], openai)

  it("are parsed", () => {
    expect(read("Tides", `{"a":[1]}`)).toEqual({ a: [1] })
  })

  it("of a strict tool come back from the provider's dialect", () => {
    expect(read("Weather", `{"city":"Rome","day":null}`)).toEqual({ city: "Rome" })
  })

  it("that the schema refuses are handed on as they are", () => {
    expect(read("Weather", `{"town":"Rome"}`)).toEqual({ town: "Rome" })
  })

  it.each(["", "  "])("written as %j are an empty object", (input) => {
    expect(read("Tides", input)).toEqual({})
  })

  it.each([`{"city":"Ro`, `{"__proto__":{"admin":true}}`])("written as %j are handed on as text", (input) => {
    expect(read("Tides", input)).toBe(input)
  })
})

describe("the response format", () => {
  it("is left out for text", () => {
    expect(toResponseFormat({ type: "text" }, plain)).toEqual({})
  })

  it("carries the provider's JSON schema and a name the provider accepts", () => {
    const schema = Schema.Struct({ name: Schema.String, nick: Schema.optionalKey(Schema.String) })
    const format = toResponseFormat({ type: "json", objectName: "A person's/name", schema }, openai)
    expect(format.responseFormat).toMatchObject({
      type: "json",
      name: "A_person_s_name",
      schema: { type: "object", required: ["name", "nick"], additionalProperties: false }
    })
  })
})
