/** Runs the command in this process, in a folder of its own, against a server of this process: cheap, and nothing is faked. */
import { NodeServices } from "@effect/platform-node"
import { Cause, ConfigProvider, Effect, Exit, Layer, Runtime, Sink, Stdio } from "effect"
import { CliOutput, Command } from "effect/cli"
import { Holdfast } from "holdfast/cli"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type IncomingHttpHeaders } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { listening } from "../sockets/listening.ts"
import { completion } from "../sockets/openaiWire.ts"

export interface Asked {
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface Told {
  readonly status?: number
  readonly headers?: { readonly [name: string]: string }
  readonly body?: string | Uint8Array
  readonly delay?: number
}

/** Answers requests: `n` counts them, from 1. */
export type Answer = (asked: Asked, n: number) => Told

export const answered: Answer = () => ({})

/** Starts a server, and gives its base URL and what it was asked. */
export const serving = (answer: Answer) =>
  Effect.gen(function* () {
    const asked: Array<Asked> = []
    const server = createServer((request, response) => {
      let text = ""
      request.setEncoding("utf8").on("data", (more: string) => (text += more))
      request.on("end", () => {
        const one = { url: request.url ?? "", headers: request.headers, body: text }
        asked.push(one)
        const { body = completion("ok"), delay = 0, headers = {}, status = 200 } = answer(one, asked.length)
        setTimeout(
          () => response.writeHead(status, { "content-type": "application/json", ...headers }).end(body),
          delay
        )
      })
    })
    const port = yield* listening(server)
    return { url: `http://127.0.0.1:${port}/v1`, asked }
  })

/** A folder for the current scope. */
export const folder = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "holdfast-batch-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  ),
  (root) => {
    const path = (name: string) => join(root, name)
    const read = (name: string): string => (existsSync(path(name)) ? readFileSync(path(name), "utf8") : "")
    return {
      path,
      read,
      write: (name: string, text: string | Uint8Array): void => writeFileSync(path(name), text),
      lines: (name: string): ReadonlyArray<string> => read(name).split("\n").slice(0, -1),
      /** Runs `holdfast batch` with these arguments; names of files stand for those of the folder. With a `TERM` it has a terminal. */
      batch: (args: ReadonlyArray<string>, env: { readonly [name: string]: string } = {}) => run(root, args, env)
    }
  }
)

const run = (root: string, args: ReadonlyArray<string>, env: { readonly [name: string]: string }) =>
  Effect.gen(function* () {
    let said = ""
    const sink = () => Sink.forEach((text: string | Uint8Array) => Effect.sync(() => void (said += String(text))))
    const inFolder = args.map((arg) =>
      /^(?:--(?:out|errors|prices)=)?[\w.-]+\.(?:jsonl|csv|json|gz|txt)$/u.test(arg)
        ? arg.replace(/[\w.-]+$/u, (name) => join(root, name))
        : arg
    )
    const exit = yield* Effect.exit(
      Command.runWith(Holdfast.holdfast, { version: "test", renderErrors: false })(["batch", ...inFolder]).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env })),
        Effect.provideService(CliOutput.Presenter, { present: () => Effect.void }),
        Effect.provide(
          Layer.mergeAll(
            NodeServices.layer,
            Stdio.layerTest({ stderr: sink, stdout: sink, stderrIsTerminal: Effect.succeed(env["TERM"] !== undefined) })
          )
        )
      )
    )
    const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
    return {
      code: error === undefined ? 0 : Runtime.getErrorExitCode(error),
      message: error instanceof Error ? error.message : "",
      said
    }
  })

/** So many lines of OpenAI's Batch API. */
export const requests = (count: number, from = 0): string =>
  Array.from({ length: count }, (_, n) => {
    const body = { model: "m", messages: [{ role: "user", content: `say ${n + from}` }] }
    return `${JSON.stringify({ custom_id: `r${n + from}`, method: "POST", url: "/v1/chat/completions", body })}\n`
  }).join("")
