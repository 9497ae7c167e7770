/**
 * Runs what a model calls, and tells it what came of it.
 */
import { Effect, Exit, Cause, Predicate } from "effect"
import { Prompt, type Response, Tool, type Toolkit } from "effect/ai"
import * as OptionCheck from "../../core/OptionCheck.ts"
import * as SafeText from "../../core/SafeText.ts"
import type { Part, Schema, Tool as ClientTool } from "../Call.ts"
import * as StandardSchemas from "./StandardSchemas.ts"

export interface ToolRuns {
  /** The tools as a model is told of them. */
  readonly toolkit: Toolkit.WithHandler<Readonly<Record<string, ReturnType<typeof told>>>>
  /** Runs them beside each other. It never fails: what goes wrong is for the model to read. */
  readonly run: (calls: ReadonlyArray<Response.ToolCallPartEncoded>) => Effect.Effect<ReadonlyArray<Result>>
}

export type Result = Extract<Part, { readonly type: "tool-result" }>

/** Throws a `RangeError` for what is no tool. */
export const make = (tools: Readonly<Record<string, ClientTool>>): ToolRuns => {
  check.record("tools", tools)
  return {
    toolkit: {
      tools: Object.fromEntries(Object.entries(tools).map(([name, tool]) => [name, told(name, tool)])),
      handle: () => Effect.die(new Error("a client runs its tools itself"))
    },
    run: (calls) => Effect.forEach(calls, (call) => ran(tools, call), { concurrency: "unbounded" })
  }
}

const told = (name: string, tool: ClientTool) => {
  check.record(`tools.${name}`, tool)
  check.callback(`tools.${name}.run`, tool.run)
  if (tool.description !== undefined) check.text(`tools.${name}.description`, tool.description)
  const parameters = StandardSchemas.jsonSchemaOf(tool.input, `Client option tools.${name}.input`)
  return Tool.dynamic(name, { description: tool.description, parameters })
}

const check = OptionCheck.of("Client")

const ran = (
  tools: Readonly<Record<string, ClientTool>>,
  { id, name, params }: Response.ToolCallPartEncoded
): Effect.Effect<Result> => {
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined
  const result = { type: "tool-result", id, name } as const
  const failed = (message: string): Result => ({ ...result, result: message, isFailure: true })
  if (tool === undefined) return Effect.succeed(failed(`there is no tool ${SafeText.of(name)}`))
  return Effect.flatMap(Effect.exit(outcomeOf(tool, params)), (exit) => {
    if (Exit.isSuccess(exit)) return Effect.succeed({ ...result, result: exit.value, isFailure: false })
    // Nobody waits for what is interrupted.
    return Cause.hasInterruptsOnly(exit.cause)
      ? Effect.interrupt
      : Effect.succeed(failed(SafeText.of(Cause.squash(exit.cause))))
  })
}

const outcomeOf = (tool: ClientTool<Schema>, params: unknown): Effect.Effect<unknown, unknown> =>
  Effect.flatMap(StandardSchemas.check(tool.input, params), (checked) =>
    checked.issues === undefined
      ? Effect.tryPromise({
          try: async (signal) => plain(await tool.run(checked.value, { signal })),
          catch: (error) => error
        })
      : Effect.fail(StandardSchemas.described(checked))
  )

/** What can be sent: JSON. */
const plain = (value: unknown): unknown => {
  const written = JSON.stringify(value)
  return written === undefined ? null : (JSON.parse(written) as unknown)
}

/** The turns of a conversation in which tools were called. */
export const turns = (
  content: ReadonlyArray<Response.AnyPart>,
  results: ReadonlyArray<Result>
): ReadonlyArray<Prompt.Message> => [
  ...Prompt.fromResponseParts(content).content,
  ...(results.length === 0
    ? []
    : Prompt.make([
        {
          role: "tool",
          content: results.map(({ id, isFailure, name, result }) => ({
            type: "tool-result",
            id,
            name,
            isFailure,
            result
          }))
        }
      ]).content)
]

/** The calls that are to be run here, of an answer that is whole. */
export const callsIn = (content: ReadonlyArray<Response.AnyPart>): ReadonlyArray<Response.ToolCallPartEncoded> => {
  const finish = content.find((part) => part.type === "finish")
  if (Predicate.isNotUndefined(finish) && (finish.reason === "length" || finish.reason === "content-filter")) return []
  return content.filter(
    (part): part is Extract<Response.AnyPart, { type: "tool-call" }> =>
      part.type === "tool-call" && part.providerExecuted !== true
  )
}
