/**
 * Runs batches over files that chance wrote, in this process: odd lines and answers, tables, packed files, files of others, cuts at any
 * byte, a server that fails. Says what was lost, changed or touched that must not be.
 */
import { NodeServices } from "@effect/platform-node"
import { Effect, Exit, Cause, Stream } from "effect"
import { AiError, type Response } from "effect/ai"
import { BatchRun } from "holdfast/cli"
import { WireBytes } from "holdfast/core"
import { ChatWire, type ModelProvider } from "holdfast/provider"
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Chance } from "../../src/testing/seed/Chance.ts"
import { json } from "../provider/chat-wire/fuzzing.ts"
import { inputOf, type Request, spaced, word } from "./batchInput.ts"

const reasons: ReadonlyArray<() => AiError.AiErrorReason> = [
  () => new AiError.InternalProviderError({ description: "boom", http: { response: { status: 500, headers: {} } } }),
  () => new AiError.InternalProviderError({ description: "cut" }),
  () =>
    new AiError.InvalidRequestError({
      parameter: "foo",
      http: { response: { status: 400, headers: {} }, body: '{"a":1}' }
    }),
  () => new AiError.ContentPolicyError({ description: "no" }),
  () => new AiError.RateLimitError({})
]

/** A server that answers with what chance says and remembers it; `sick` of ten attempts fail. */
const serverOf = (chance: Chance, sick: number, sent: Map<string, Set<string>>, told: Map<string, Set<string>>) => {
  const ask: ModelProvider.ModelProvider["generateText"] = () =>
    Effect.withFiber((fiber) => {
      const { body = Buffer.alloc(0) } = fiber.getRef(WireBytes.Current) ?? {}
      const text = Buffer.from(body).toString("utf8")
      sent.set(text, sent.get(text) ?? new Set())
      if (chance.below(10) < sick) {
        const reason = (reasons[chance.below(reasons.length)] ?? reasons[0])?.()
        if (reason !== undefined) return Effect.fail(AiError.make({ module: "fuzz", method: "ask", reason }))
      }
      const answer = spaced(chance, JSON.stringify({ choices: [json(chance)], id: word(chance), big: 1 })).replace(
        /1\}$/,
        "12345678901234567890}"
      )
      told.set(text, (told.get(text) ?? new Set()).add(answer))
      const parts: Array<Response.PartEncoded> = [
        { type: "response-metadata" },
        { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} }, response: undefined }
      ]
      new WireBytes.Recorder().read(Buffer.from(answer), parts)
      return Effect.as(Effect.yieldNow, parts)
    })
  const { name, model } = ChatWire.raw({ baseUrl: "http://127.0.0.1:9/v1" })
  return { name, model, generateText: ask, streamText: () => Stream.empty } satisfies ModelProvider.ModelProvider
}

/** One round. Gives what is wrong, if anything is. */
export const round = async (chance: Chance, root: string): Promise<string | undefined> => {
  rmSync(root, { recursive: true, force: true })
  mkdirSync(root, { recursive: true })
  const at = (name: string) => join(root, name)
  const { bytes, isTorn, requests, template } = inputOf(chance)
  writeFileSync(at("in"), bytes)
  const [sent, told] = [new Map<string, Set<string>>(), new Map<string, Set<string>>()]
  const foreign = chance.oneOf(["none", "none", "output", "errors", "lock"] as const)
  const diary = chance.oneOf([
    '{"id":"p0","prompt":"hi"}\n',
    "Dear diary",
    '{"id":"batch_req_1","custom_id":"a","response":null}',
    formerLock.slice(0, chance.below(formerLock.length + 1))
  ])
  const victim = at({ none: "nothing", output: "out.jsonl", errors: "errors.jsonl", lock: "out.jsonl.lock" }[foreign])
  if (foreign !== "none") writeFileSync(victim, diary)
  // What may be the beginning of a line of ours is taken for one.
  const isBegun = `{"id":"batch_req_`.startsWith(diary) || (foreign === "output" && diary.includes("response"))
  const isOurs = foreign === "lock" ? diary === "" || diary.trimEnd() === formerLock.trimEnd() : isBegun
  const isRefused = foreign !== "none" && !isOurs

  const run = (sick: number) =>
    Effect.runPromise(
      Effect.exit(
        BatchRun.run({
          input: at("in"),
          output: at("out.jsonl"),
          errors: at("errors.jsonl"),
          provider: Effect.succeed(serverOf(chance, sick, sent, told)),
          baseUrl: "http://127.0.0.1:9/v1",
          template,
          model: "m",
          retries: 0,
          concurrency: 1 + chance.below(4),
          patience: 0
        })
      ).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
    )
  for (const sick of [chance.below(10), chance.below(5), 0]) {
    const exit = await run(sick)
    const failed = Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : ""
    if (isRefused) {
      if (failed === "") return `the run went on over ${foreign}`
      if (readFileSync(victim, "utf8") !== diary) return `it touched ${foreign}`
      return sent.size === 0 ? undefined : "it sent requests"
    }
    const isAllowed = failed.includes("did not recover") || (isTorn && failed.includes("unexpected end of file"))
    if (failed !== "" && !isAllowed) return `it ended with ${failed}`
    // A crash may cut what is written last.
    if (sick > 0 && chance.onceIn(2)) cut(chance, at(chance.oneOf(["out.jsonl", "errors.jsonl"])))
  }
  return lost(requests, isTorn, sent, told, at("out.jsonl"))
}

const formerLock = '{"pid":1,"startedAtMillis":1789466192000}\n'

/** Cuts a file in its last line, or anywhere. */
const cut = (chance: Chance, path: string): void => {
  if (!existsSync(path)) return
  const bytes = readFileSync(path)
  const least = chance.onceIn(3) ? 0 : bytes.lastIndexOf(10, bytes.length - 2) + 1
  writeFileSync(path, bytes.subarray(0, least + chance.below(bytes.length - least + 1)))
}

const lost = (
  requests: ReadonlyArray<Request>,
  isTorn: boolean,
  sent: ReadonlyMap<string, unknown>,
  told: ReadonlyMap<string, ReadonlySet<string>>,
  output: string
): string | undefined => {
  const bodies = new Set(requests.map(({ body }) => body.toWellFormed()))
  for (const body of sent.keys()) if (!bodies.has(body)) return `sent ${body}`
  const answers = new Map<string, ReadonlyArray<string>>()
  for (const line of readFileSync(output, "utf8").split("\n").slice(0, -1)) {
    const { custom_id: id, response } = JSON.parse(line)
    if (response === null) continue
    answers.set(id, [...(answers.get(id) ?? []), line.slice(line.indexOf('"body":') + 7, -'},"error":null}'.length)])
  }
  for (const { body, id } of requests) {
    const [answer, another] = answers.get(id) ?? []
    if (answer === undefined && isTorn) continue
    if (answer === undefined) return `no answer for ${JSON.stringify(id)}`
    if (another !== undefined) return `two answers for ${JSON.stringify(id)}`
    if (told.get(body.toWellFormed())?.has(answer) !== true)
      return `another answer for ${JSON.stringify(id)}: ${answer}`
  }
  return answers.size === requests.length || isTorn ? undefined : "answers for nobody"
}
