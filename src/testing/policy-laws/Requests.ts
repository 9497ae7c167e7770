/**
 * Makes the requests of a program's calls, and writes requests out so that what was sent can be held against what was asked.
 */
import { Context, Option, Schema, Tracer } from "effect"
import { type LanguageModel, Prompt, Tool } from "effect/ai"

export type Request = LanguageModel.ProviderOptions

/** What no policy may change about a request, written out. */
export interface Asked {
  /** Each message of the prompt. */
  readonly messages: ReadonlyArray<string>
  /** The tools, the choice among them, and the form of the answer. */
  readonly options: string
  /** Whether an object is asked for. */
  readonly isStructured: boolean
}

export const written = ({ prompt, responseFormat, toolChoice, tools }: Request): Asked => ({
  messages: prompt.content.map((message) => JSON.stringify(message)),
  options: JSON.stringify([
    tools.map(({ description, name }) => [name, description]),
    toolChoice,
    formOf(responseFormat)
  ]),
  isStructured: responseFormat.type === "json"
})

const formOf = (format: Request["responseFormat"]): string =>
  format.type === "json" ? `json ${format.objectName}` : format.type

/** The request of this number: others differ in their words, and most in their tools and the form of the answer too. */
export const of = (number: number): Request => ({
  prompt: Prompt.make([
    { role: "system", content: `You are asked question ${number}.` },
    { role: "user", content: `What is ${number}?` }
  ]),
  span,
  previousResponseId: undefined,
  incrementalPrompt: undefined,
  ...(forms[number % forms.length] ?? plain)
})

const plain = { tools: [], toolChoice: "auto", responseFormat: { type: "text" } } as const

// Models call "Weather", see `FaultyModel`.
const weather = Tool.make("Weather", {
  description: "Tells the weather of a city.",
  parameters: Schema.Struct({ city: Schema.String })
})

const tide = Tool.make("Tide", { description: "Tells when the tide is high.", parameters: Schema.Struct({}) })

/** What models say where an object is asked for. */
const said = Schema.Struct({ said: Schema.String })

const forms: ReadonlyArray<Pick<Request, "tools" | "toolChoice" | "responseFormat">> = [
  { ...plain, tools: [weather, tide] },
  { ...plain, responseFormat: { type: "json", objectName: "said", schema: said } },
  { ...plain, tools: [weather], toolChoice: { tool: "Weather" } },
  plain
]

const span = new Tracer.NativeSpan({
  name: "call",
  parent: Option.none(),
  annotations: Context.empty(),
  links: [],
  startTime: 0n,
  kind: "internal",
  sampled: false
})
