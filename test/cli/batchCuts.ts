/** Cuts each file of a finished batch at every byte, runs the batch again, and says what is lost, doubled or changed. */
import { NodeServices } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import type { Response } from "effect/ai"
import { BatchRun } from "holdfast/cli"
import { WireBytes } from "holdfast/core"
import type { ModelProvider } from "holdfast/provider"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** Answers with what it was asked. */
const echo: ModelProvider.ModelProvider = {
  name: "echo",
  model: "m",
  generateText: () =>
    Effect.withFiber((fiber) => {
      const body = Buffer.from(fiber.getRef(WireBytes.Current)?.body ?? []).toString("utf8")
      const parts: Array<Response.PartEncoded> = [
        { type: "response-metadata" },
        { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} }, response: undefined }
      ]
      new WireBytes.Recorder().read(Buffer.from(`{"re":${body}}`), parts)
      return Effect.succeed(parts)
    }),
  streamText: () => Stream.empty
}

const bodies = ["é 🌊", 'a "b"'].map(
  (content) =>
    `{"model":"m", "n":12345678901234567890,"messages":[{"content":"${JSON.stringify(content).slice(1, -1)}"}]}`
)
const lines = bodies.map((body, n) => `{"custom_id":"é${n}","body":${body}}`)
const files = ["in.jsonl", "out.jsonl", "errors.jsonl", "out.jsonl.lock"] as const

/** Gives how many cuts there were, or what is wrong with one. */
export const everyCut = async (root: string): Promise<number | string> => {
  rmSync(root, { recursive: true, force: true })
  mkdirSync(root, { recursive: true })
  const at = (name: string) => join(root, name)
  const run = () =>
    Effect.runPromiseExit(
      BatchRun.run({
        input: at("in.jsonl"),
        output: at("out.jsonl"),
        errors: at("errors.jsonl"),
        provider: Effect.succeed(echo),
        baseUrl: "http://127.0.0.1:9/v1"
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
    )
  writeFileSync(at("in.jsonl"), `${lines.join("\n")}\n{"custom_id":"bad"}\n`)
  await run()
  const whole = new Map(
    files.map((name) => [
      name,
      name.endsWith("lock") ? Buffer.from('{"pid":1,"startedAtMillis":1}') : readFileSync(at(name))
    ])
  )
  let cuts = 0
  for (const [name, bytes] of whole) {
    for (let end = 0; end <= bytes.length; end++) {
      for (const [other, all] of whole) if (!other.endsWith("lock")) writeFileSync(at(other), all)
      // What was answered is known from the output; an input that is cut begins anew.
      if (name === "in.jsonl") for (const other of ["out.jsonl", "errors.jsonl"]) rmSync(at(other))
      rmSync(at("out.jsonl.lock"), { force: true })
      writeFileSync(at(name), bytes.subarray(0, end))
      const exit = await run()
      cuts += 1
      const isForeign = name.endsWith("lock") && end > 0 && end < bytes.length
      if ((exit._tag === "Failure") !== isForeign) return `${name} cut at ${end}: it ended with ${exit._tag}`
      if (isForeign && !readFileSync(at(name)).equals(bytes.subarray(0, end)))
        return `${name} cut at ${end} was touched`
      const wanted = bodies
        .map((body, n) => `"custom_id":"é${n}" {"re":${body}}`)
        .slice(0, name === "in.jsonl" ? wholeIn(end) : 2)
      const answers = readFileSync(at("out.jsonl"), "utf8").split("\n").slice(0, -1)
      const got = answers.map(
        (line) =>
          `${line.match(/"custom_id":"[^"]*"/u)?.[0]} ${line.slice(line.indexOf('"body":') + 7, -'},"error":null}'.length)}`
      )
      if (got.toSorted().join("\n") !== wanted.join("\n")) return `${name} cut at ${end}: ${got.join("\n")}`
    }
  }
  return cuts
}

/** How many lines of the input are whole. */
const wholeIn = (end: number): number => {
  let size = -1
  return lines.filter((line) => (size += Buffer.byteLength(line) + 1) <= end).length
}
