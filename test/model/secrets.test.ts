/**
 * Secrets show nowhere, and what was said shows only where the table below says that it may: every kind of secret and text, every
 * output, through both ways to a server, whatever that server answers.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { inspect } from "node:util"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Cause, type Duration, Effect, Exit, Layer, Logger, Redacted, References, Schema, Stream, Tracer } from "effect"
import { LanguageModel, Tool, Toolkit } from "effect/ai"
import { Persistence } from "effect/persistence"
import { CallTrail } from "holdfast/core"
import { Model } from "holdfast/model"
import { Pipeline, ResponseCache } from "holdfast/policy"
import { AiSdk, ChatWire, Fetch, type ModelProvider } from "holdfast/provider"
import { Job, StatusLine, Supervisor } from "holdfast/supervisor"
import { listening } from "../sockets/listening.ts"
import { chunk, completion } from "../sockets/openaiWire.ts"

/** What may show where, and why. Secrets may nowhere. */
const mayShow = {
  logs: ["metadata"], // a job's log annotations are the submitter's own, and its facts are there to be found
  events: ["metadata"], // as in `JobSubmitted`
  status: ["metadata"], // as it was submitted; lists are filtered by it
  hook: ["metadata"], // it is given the job's status
  errors: [],
  json: [], // `JSON.stringify` of an exit, as events and stores write it
  inspected: [], // `console.log` and `util.inspect`, at any depth
  spans: [],
  trail: [],
  health: [],
  statusLine: [],
  provider: [], // what a program prints that looks for a fault of its own
  process: [], // what is written past all loggers, warnings of the runtime too
  store: ["answer", "parameters"], // a shared cache keeps what was answered, and of the question a hash
  answer: ["answer", "parameters"], // this is what was asked for
  wire: ["prompt", "earlier", "result", "answer", "parameters"] // the wire log is for this, and off by default
} as const satisfies Record<string, ReadonlyArray<Text>>

type Text = "prompt" | "earlier" | "result" | "answer" | "parameters" | "metadata"
type Output = keyof typeof mayShow

const text = (kind: Text): string => `CANARY${kind} grows in the cold and shallow sea`

const secrets = {
  known: "sk-CANARYknown0123456789abcdef",
  plain: "0CANARYplain9f8e7d6c/5b4+a3928",
  redacted: "CANARYredacted!",
  header: "CANARYheader",
  user: "CANARYuser",
  password: "CANARYpass",
  query: "CANARYquery"
}

const log = (seen: Seen) => (entry: ChatWire.LogEntry) => void seen.push(["wire", JSON.stringify(entry)])
type Seen = Array<readonly [Output, string]>

const headers = { "x-tenant": secrets.redacted, "x-secret": secrets.header }
const ways: Readonly<Record<string, (host: string, key: string, seen: Seen) => ModelProvider.ModelProvider>> = {
  ChatWire: (host, apiKey, seen) =>
    ChatWire.provider({
      baseUrl: `http://${secrets.user}:${secrets.password}@${host}/v1?key=${secrets.query}`,
      apiKey,
      headers: { ...headers, "x-tenant": Redacted.make(secrets.redacted) },
      model: "m",
      proxy: false,
      log: log(seen)
    }),
  AiSdk: (host, apiKey) =>
    AiSdk.provider(
      createOpenAICompatible({
        name: "up",
        baseURL: `http://${host}/v1`,
        queryParams: { key: secrets.query },
        headers: { ...headers, "api-key": apiKey, "x-url": `http://${secrets.user}:${secrets.password}@kelp.test` },
        fetch: Fetch.make({ proxy: false })
      })("m"),
      { secrets: Object.values(secrets).map((secret) => Redacted.make(secret)) }
    )
}

type Asked = { readonly said: string; readonly isStream: boolean }
type Answering = (response: ServerResponse, asked: Asked) => void

const call = {
  index: 0,
  id: "c1",
  type: "function",
  function: { name: "find", arguments: `{"of":"${text("parameters")}"}` }
}
const refusing =
  (status: number): Answering =>
  (response, { said }) =>
    void response
      .writeHead(status, { "x-auth": encodeURIComponent(said.slice(0, 4_000)), "set-cookie": secrets.plain })
      .end(JSON.stringify({ error: { message: `no: ${said}`, param: said, type: "invalid", extra: said } }))
const raw =
  (body: (asked: Asked) => string, type = "application/json"): Answering =>
  (response, asked) =>
    void response.writeHead(200, { "content-type": type }).end(body(asked))

const answers: Readonly<Record<string, Answering>> = {
  "an answer": (response, { isStream }) =>
    void response.end(isStream ? chunk({ content: text("answer") }) + stopped : completion(text("answer"))),
  "structured output that nobody can read": raw(() =>
    completion(JSON.stringify({ found: { [text("answer")]: text("answer") }, of: text("answer") }))
  ),
  "a call of a tool": (response, { isStream }) =>
    void response.end(
      isStream
        ? chunk({ tool_calls: [call] }) + chunk({}, "tool_calls") + "data: [DONE]\n\n"
        : JSON.stringify({
            choices: [
              { index: 0, message: { content: text("answer"), tool_calls: [call] }, finish_reason: "tool_calls" }
            ]
          })
    ),
  "a refusal, 400": refusing(400),
  "a refusal, 401": refusing(401),
  "a refusal, 429": refusing(429),
  "a refusal, 503": refusing(503),
  "a refusal as a text": (response, { said }) => void response.writeHead(400).end(said),
  "a refusal in a good answer": raw(({ said }) =>
    JSON.stringify({ error: { message: said, code: 500 }, choices: [{ message: { content: text("answer") } }] })
  ),
  "a refusal in a stream": raw(
    ({ said }) => `${chunk({ content: text("answer") })}data: ${JSON.stringify({ error: { message: said } })}\n\n`,
    "text/event-stream"
  ),
  "an error behind half an event": raw(
    ({ said }) => `data: {"choices":[{"delta":{"content":"${text("answer")}\n{"error":${JSON.stringify(said)}}\n\n`,
    "text/event-stream"
  ),
  "an error of words behind half an event": raw(
    () => `event: error\ndata: {"choices":[{"delta":{"content":"${text("answer")}\ndata: no more\n\n`,
    "text/event-stream"
  ),
  "an answer that is cut": raw(({ isStream }) =>
    isStream ? chunk({ content: text("answer") }) : completion(text("answer")).slice(0, -30)
  ),
  "an answer that is no JSON": raw(() => `{"choices":[{"message":{"content":"${text("answer")}"]}`),
  "a text": raw(() => text("answer")),
  "an event that is no JSON": raw(() => `data: {"choices": ${text("answer")}}\n\n`, "text/event-stream"),
  "a page": raw(({ said }) => `<html>${text("answer")} ${said}</html>`, "text/html"),
  "fields of other types": raw(() =>
    JSON.stringify({
      choices: [{ message: { content: 7, tool_calls: text("answer") }, finish_reason: [text("answer")] }],
      usage: text("answer")
    })
  ),
  "fields that nobody knows": raw(() => JSON.stringify({ [text("answer")]: { [text("answer")]: text("answer") } })),
  "parameters that are no JSON": (response, { isStream }) => {
    const broken = { ...call, function: { name: "find", arguments: text("parameters") } }
    response.end(
      isStream
        ? chunk({ tool_calls: [broken] }) + chunk({}, "tool_calls") + "data: [DONE]\n\n"
        : JSON.stringify({ choices: [{ index: 0, message: { tool_calls: [broken] }, finish_reason: "tool_calls" }] })
    )
  },
  "parameters that the tool does not take": (response, { isStream }) => {
    const wrong = { ...call, function: { name: "find", arguments: `{"at":"${text("parameters")}"}` } }
    response.end(
      isStream
        ? chunk({ tool_calls: [wrong] }) + chunk({}, "tool_calls") + "data: [DONE]\n\n"
        : JSON.stringify({ choices: [{ index: 0, message: { tool_calls: [wrong] }, finish_reason: "tool_calls" }] })
    )
  },
  "a redirect": (response, { said }) =>
    void response.writeHead(307, { location: `http://kelp.test/?key=${secrets.query}` }).end(said),
  "a lost connection": (response) =>
    void response.writeHead(200).write(`{"choices":"${text("answer")}`, () => response.destroy()),
  silence: () => {}
}
const stopped = `${chunk({}, "stop")}data: [DONE]\n\n`

const said = (asked: IncomingMessage, body: string): string =>
  `${body} ${JSON.stringify(asked.headers)} ${asked.url} ${decodeURIComponent(asked.url ?? "")}`

const Find = Tool.make("find", { parameters: Schema.Struct({ of: Schema.String }), success: Schema.String })
const tools = Toolkit.make(Find)
const prompt = [
  { role: "user", content: text("prompt") },
  {
    role: "assistant",
    content: [{ type: "tool-call", id: "c0", name: "find", params: { of: text("earlier") }, providerExecuted: false }]
  },
  {
    role: "tool",
    content: [
      { type: "tool-result", id: "c0", name: "find", isFailure: false, result: text("result"), providerExecuted: false }
    ]
  }
] as const

const schema = Schema.Struct({
  found: Schema.Record(Schema.String, Schema.Literal("kelp")),
  of: Schema.String.check(Schema.makeFilter((of: string) => `${of} is wrong`))
})
const methods = ["generateText", "streamText", "generateObject"] as const

const asking = (method: (typeof methods)[number], seen: Seen) => {
  const put = (answer: unknown) => Effect.sync(() => void seen.push(["answer", JSON.stringify(answer)]))
  switch (method) {
    case "generateText":
      return Effect.flatMap(LanguageModel.generateText({ prompt, toolkit: tools }), ({ content }) => put(content))
    case "streamText":
      return Stream.runForEach(LanguageModel.streamText({ prompt, toolkit: tools }), put)
    case "generateObject":
      return Effect.flatMap(LanguageModel.generateObject({ prompt, toolkit: tools, schema }), ({ content }) =>
        put(content)
      )
  }
}

const deep = (value: unknown): string => inspect(value, { depth: Infinity, showHidden: true })

/** Runs one call as a job of its own, and gives everything that shows of it. */
const outputsOf = Effect.fnUntraced(function* (
  provider: (seen: Seen) => ModelProvider.ModelProvider,
  method: (typeof methods)[number],
  timeout: Duration.Input
) {
  const seen: Seen = []
  const put = (output: Output, ...shown: ReadonlyArray<string>) =>
    void seen.push(...shown.map((one) => [output, one] as const))
  const loggers = [Logger.formatJson, Logger.formatLogFmt].map(Logger.map((line) => put("logs", String(line))))
  const asObject = Logger.make(({ cause, message }) => put("logs", deep(message), Cause.pretty(cause)))
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const store = Persistence.BackingPersistence.of({
    make: () =>
      Effect.succeed({
        get: () => Effect.undefined,
        getMany: () => Effect.die("not asked"),
        set: (key, value) => Effect.sync(() => put("store", key, JSON.stringify(value))),
        setMany: () => Effect.die("not asked"),
        remove: (key) => Effect.sync(() => put("store", key)),
        clear: Effect.void
      })
  })
  const onFailure = (failure: unknown) => Effect.sync(() => put("hook", deep(failure), JSON.stringify(failure)))
  yield* overheard((text) => put("process", text))
  const made = provider(seen)
  put("provider", deep(made), JSON.stringify(made))
  const policies = [
    ...Pipeline.standard({ retry: { times: 1, base: "1 millis" }, timeout }),
    ResponseCache.shared({ timeToLive: "1 hour", leaseFor: "5 millis" })
  ]
  const layer = Model.layer({ provider: made, policies }).pipe(
    Layer.provideMerge(Supervisor.layer({ onFailure })),
    Layer.provide(Layer.succeed(Persistence.BackingPersistence, store))
  )
  yield* Effect.gen(function* () {
    const call = asking(method, seen).pipe(
      Effect.tapCause((cause) => Effect.logDebug("the call failed", cause)),
      Effect.tapError((error) => Effect.sync(() => put("trail", deep(CallTrail.ofError(error)))))
    )
    const job = yield* Supervisor.submit(call, { name: "ask", metadata: { for: text("metadata") } })
    const exit = yield* Effect.exit(Job.join(job))
    put("errors", Exit.isFailure(exit) ? `${Cause.pretty(exit.cause)} ${String(Cause.squash(exit.cause))}` : "")
    put("json", JSON.stringify(exit), Exit.isFailure(exit) ? JSON.stringify(Cause.squash(exit.cause)) : "")
    put("inspected", deep(exit), inspect(exit))
    for (const status of yield* Supervisor.list()) {
      put("status", deep(status), JSON.stringify(status))
      const events = yield* Stream.runCollect(Supervisor.events({ job: status.id, after: 0 }))
      put("events", deep(events), JSON.stringify(events))
    }
    const health = yield* Model.health
    put("health", deep(health), JSON.stringify(health))
    put("statusLine", StatusLine.render(health.jobs))
  }).pipe(
    Effect.provide(Layer.mergeAll(layer, tools.toLayer({ find: () => Effect.succeed("found") }))),
    Effect.withSpan("caller"),
    Effect.withTracer(tracer),
    Effect.provide(Logger.layer([...loggers, asObject])),
    Effect.provideService(References.MinimumLogLevel, "All")
  )
  for (const { attributes, events, name, status } of spans) {
    // What a span ended with is exported when it is a failure.
    const failure = status._tag === "Ended" && Exit.isFailure(status.exit) ? status.exit : undefined
    put("spans", deep([name, attributes, events, failure]))
  }
  return seen
})

/** Hears what is written past all loggers, until its scope closes. */
const overheard = (hear: (text: string) => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const outputs = [process.stdout, process.stderr].map((output) => ({ output, write: output.write }))
      for (const { output, write } of outputs)
        output.write = ((...args: Parameters<typeof write>) => {
          hear(String(args[0]))
          return write.apply(output, args)
        }) as typeof write
      const warned = (warning: Error) => hear(deep(warning))
      process.on("warning", warned)
      return () => {
        for (const { output, write } of outputs) output.write = write
        process.off("warning", warned)
      }
    }),
    (restore) => Effect.sync(restore)
  )

const shapes = ["known", "plain"] as const

describe.each(Object.keys(ways))("through %s", (way) => {
  it.live.each(Object.keys(answers))("nothing shows where it may not: %s", (kind) =>
    Effect.gen(function* () {
      const server = createServer((asked, response) => {
        let body = ""
        asked.on("data", (bytes) => (body += String(bytes)))
        asked.on("end", () =>
          answers[kind]?.(response, { said: said(asked, body), isStream: body.includes('"stream":true') })
        )
      })
      const host = `127.0.0.1:${yield* listening(server)}`
      const found = new Set<string>()
      const timeout = kind === "silence" ? "250 millis" : "2 seconds"
      for (const shape of shapes)
        for (const method of methods) {
          const seen = yield* outputsOf(
            (seen) => ways[way]?.(host, secrets[shape], seen) ?? assert.fail(way),
            method,
            timeout
          )
          assert.includeMembers(
            seen.map(([output]) => output),
            ["events", "status", "spans", "health"]
          )
          for (const [output, shown] of seen) {
            const may: ReadonlyArray<string> = mayShow[output]
            for (const [canary, which = ""] of shown.matchAll(/CANARY([a-z]+)/g))
              if (!may.includes(which)) found.add(`${canary} in ${output}: ${around(shown, canary)}`)
          }
        }
      assert.deepStrictEqual([...found], [])
    })
  )
})

const around = (shown: string, canary: string): string => {
  const at = shown.indexOf(canary)
  return shown.slice(Math.max(0, at - 90), at + 40)
}
