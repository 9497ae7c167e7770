/**
 * Writes values of a schema as JSON texts, and reads them.
 */
import { Effect, Schema } from "effect"
import * as SafeText from "../../core/SafeText.ts"
import { DurableJobError, Undecodable } from "../DurableJobError.ts"

export interface Texts<A> {
  /** Both name the job that the text is of. */
  readonly encode: (id: string, value: A) => Effect.Effect<string, DurableJobError>
  readonly decode: (id: string, text: string) => Effect.Effect<A, DurableJobError>
}

export const of = <A>(what: Undecodable["what"], schema: Schema.Codec<A, unknown>): Texts<A> => {
  const texts = Schema.fromJsonString(Schema.toCodecJson(schema))
  const encode = Schema.encodeEffect(texts)
  const decode = Schema.decodeEffect(texts)
  const failure = (id: string) => (error: unknown) =>
    new DurableJobError({ id, reason: new Undecodable({ what, problem: SafeText.of(error) }) })
  return {
    encode: (id, value) => Effect.mapError(encode(value), failure(id)),
    decode: (id, text) => Effect.mapError(decode(text), failure(id))
  }
}
