/** Reaches a bench's model server through our provider, and asks it what it has seen. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { Effect, Exit, Scope } from "effect"
import { IdGenerator } from "effect/ai"
import { AiSdk, type ModelProvider } from "holdfast/provider"
import { asking } from "../../test/policy/scripted.ts"
import type { Seen } from "./modelServer.ts"

export const seenBy = async (url: string): Promise<Seen> => (await fetch(`${url}/seen`)).json() as Promise<Seen>

export const runPromise = <A>(program: Effect.Effect<A, unknown, IdGenerator.IdGenerator>): Promise<A> =>
  Effect.runPromise(Effect.provideService(program, IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator))

/** The provider with a policy around it, and the options of a call. */
export const open = async (url: string, policy: ModelProvider.Policy | undefined) => {
  const next = AiSdk.provider(
    createOpenAICompatible({ name: "bench", baseURL: `${url}/v1`, apiKey: "none" }).chatModel("m")
  )
  const scope = await Effect.runPromise(Scope.make())
  const provider = policy === undefined ? next : await Effect.runPromise(Scope.provide(policy(next), scope))
  const options = await runPromise(asking("hello"))
  return { provider, options, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}
