/**
 * Makes the calls of one client.
 */
import { Effect } from "effect"
import * as Key from "../../core/call/Key.ts"
import type { Answer, ObjectAnswer, Output, Prompt, Schema, TextStream, ToolOptions } from "../Call.ts"
import * as CallSettings from "./CallSettings.ts"
import { Arrival, CallStream } from "./CallStream.ts"
import * as Conversation from "./Conversation.ts"
import type { Frames } from "./Failures.ts"
import { Joined } from "./Joined.ts"
import type { Models } from "./Models.ts"
import { handled, type Runner, signalWithin } from "./Runner.ts"

type Options = ToolOptions<Readonly<Record<string, Schema>>> | undefined

/** Every method takes the frames of whoever called the client. */
export class Calls {
  private readonly runner: Runner
  private readonly settings: CallSettings.ClientSettings
  private readonly joined = new Joined()

  constructor(runner: Runner, settings: CallSettings.ClientSettings) {
    this.runner = runner
    this.settings = settings
  }

  generate(prompt: Prompt, options: Options, frames: Frames): Promise<Answer> {
    return this.whole("generate", prompt, options, frames, Conversation.generate)
  }

  object<S extends Schema>(schema: S, prompt: Prompt, options: Options, frames: Frames) {
    const answer = this.whole("object", prompt, options, frames, (call) => Conversation.object(call, schema))
    // The value is what this schema gave.
    return answer as Promise<ObjectAnswer<Output<S>>>
  }

  /** Throws a `RangeError` for options that make no sense: there is no promise yet that could be rejected. */
  stream(prompt: Prompt, options: Options, frames: Frames): TextStream {
    const call = CallSettings.read(prompt, options ?? {}, this.settings)
    const make = () => new Arrival(this.runner, (pass) => Conversation.stream(call, pass))
    const key = keyOf("stream", call)
    return new CallStream(
      key === undefined ? make() : this.joined.arrival(key, make),
      signalWithin(call.signal),
      frames
    )
  }

  private whole<A>(
    kind: string,
    prompt: Prompt,
    options: Options,
    frames: Frames,
    make: (call: CallSettings.CallSettings) => Effect.Effect<A, unknown, Models>
  ): Promise<A> {
    try {
      const call = CallSettings.read(prompt, options ?? {}, this.settings)
      // One that others may join belongs to no job.
      const key = keyOf(kind, call)
      const run = (signal: AbortSignal | undefined) =>
        this.runner.run(
          Effect.suspend(() => make(call)),
          { frames, signal, apart: key !== undefined }
        )
      return key === undefined ? run(call.signal) : handled(this.joined.join(key, signalWithin(call.signal), run))
    } catch (error) {
      return handled(Promise.reject(error))
    }
  }
}

const keyOf = (kind: string, { idempotencyKey, model, tenant }: CallSettings.CallSettings): string | undefined =>
  idempotencyKey === undefined ? undefined : Key.of(kind, model, tenant, idempotencyKey)
