/** Every error that we give, shown in every way there is to show one: all say the same words. */
import { globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Effect, Exit, Logger, Option, Predicate, Schema } from "effect"
import { AiError, LanguageModel } from "effect/ai"
import { Deadline, PolicyReason } from "holdfast/core"
import { Model } from "holdfast/model"
import { AdaptiveLimit, Bulkhead, CircuitBreaker, Race, RateLimit, Timeout } from "holdfast/policy"
import { Supervisor } from "holdfast/supervisor"
import { Violation } from "../src/testing/provider-contract/Stage.ts"
import * as CallError from "../src/core/call/CallError.ts"
import * as SafeText from "../src/core/SafeText.ts"
import * as ShownError from "../src/core/ShownError.ts"
import { EventTooLarge } from "../src/provider/http/Sse.ts"
import { Miscoded, NoHttp, TooLarge, UnknownCoding } from "../src/provider/http/Exchange.ts"
import { NotEvents } from "../src/provider/errors/NotEvents.ts"
import { UnknownStatus } from "../src/provider/Fetch.ts"
import { scripted } from "./policy/scripted.ts"

const titleOf = ({ message, name }: Error) => (message === "" ? name : `${name}: ${message}`)
const firstLine = (error: Error) => titleOf(error).split("\n", 1)[0] ?? ""
const beginning = (text: string | undefined, error: Error) => text?.slice(0, titleOf(error).length)
const parsed = (value: unknown) => JSON.parse(JSON.stringify(value))

/** What each way shows of an error, and what it must be. */
const ways: Readonly<Record<string, (error: Error) => readonly [shown: unknown, wanted: unknown]>> = {
  "its message": ({ message }) => [/undefined|\[object|NaN/.exec(message)?.[0], undefined],
  "a text": (error) => [String(error), titleOf(error)],
  "its stack": (error) => [beginning(error.stack, error), titleOf(error)],
  JSON: (error) => [parsed(error).message, error.message],
  "console.log": (error) => [beginning(inspect(error), error), titleOf(error)],
  "console.log of what holds it": (error) => [inspect([error]).includes(firstLine(error)), true],
  "console.log from afar": (error) => [inspect([error], { depth: 0 }).includes(`[${firstLine(error)}`), true],
  "a Cause": (error) => [String(Cause.fail(error)).includes(titleOf(error)), true],
  "Cause.pretty": (error) => [beginning(Cause.pretty(Cause.fail(error)), error), titleOf(error)],
  "JSON of a Cause": (error) => [parsed(Cause.fail(error)).reasons[0].error.message, error.message],
  "JSON of an Exit": (error) => [parsed(Exit.fail(error)).cause.reasons[0].error.message, error.message],
  "an event of a job": (error) => [SafeText.of(error).startsWith(SafeText.cut(titleOf(error), 500).slice(0, -1)), true]
}

const isShown = (error: Error) => {
  for (const [way, show] of Object.entries(ways)) {
    const [shown, wanted] = show(error)
    assert.strictEqual(shown, wanted, `${error.name} in ${way}`)
  }
}

const sampled = <A>(schema: Schema.Codec<A, unknown>, count: number) =>
  Arbitrary.sampleEffect(Arbitrary.schema(schema), { count, seed: "words" })

const encoded = (error: AiError.AiError) =>
  Effect.flatMap(Schema.encodeEffect(Schema.toCodecJson(AiError.AiError))(error), (json) =>
    Schema.decodeEffect(Schema.toCodecJson(AiError.AiError))(parsed(json))
  )

describe("an error of a call", () => {
  it.effect("says the same everywhere, whatever its reason", () =>
    Effect.gen(function* () {
      for (const reason of yield* sampled(AiError.AiErrorReason, 100)) {
        const error = CallError.make({ module: "AiSdk", method: "generateText", reason })
        isShown(error)
        isShown(error.reason)
        assert.deepStrictEqual([error.name, error.reason.name], ["AiError", reason._tag])
      }
    })
  )

  it.effect("says of a policy's reason its tag and what was decided, and is read back when it was stored", () =>
    Effect.gen(function* () {
      for (const reason of yield* sampled(PolicyReason.PolicyReason, 100)) {
        const error = PolicyReason.toAiError("Some", reason)
        isShown(error)
        isShown(error.reason)
        isShown(PolicyReason.toError(reason))
        const read = yield* encoded(error)
        assert.deepStrictEqual(PolicyReason.of(read), Option.some(parsed(reason)))
        for (const each of [error, error.reason, PolicyReason.toError(reason), CallError.shown(read)]) {
          assert.strictEqual(each.message, PolicyReason.message(reason))
          assert.isTrue(each.message.startsWith(`${reason._tag}: `))
        }
      }
    })
  )

  it("says once what its provider said of a limit, for which its class has no place", () => {
    const metadata = { provider: { message: "slow down" } }
    const of = (reason: AiError.AiErrorReason) => {
      const error = CallError.make({ module: "m", method: "m", reason })
      return CallError.shown(CallError.make({ ...error, reason: CallError.shown(error).reason })).message
    }
    assert.deepStrictEqual(
      [of(new AiError.RateLimitError({ metadata })), of(new AiError.QuotaExhaustedError({ metadata }))],
      [
        "m.m: Rate limit exceeded. slow down",
        "m.m: Quota exhausted. Check your account billing and usage limits. slow down"
      ]
    )
  })

  it.effect("says it in every form of log", () =>
    Effect.gen(function* () {
      const error = PolicyReason.toAiError("Timeout", { _tag: "TimedOut", clock: "firstToken", afterMillis: 30_000 })
      const lines: Array<string> = []
      for (const format of [Logger.formatJson, Logger.formatLogFmt, Logger.formatSimple]) {
        const logger = Logger.map(format, (line) => void lines.push(line))
        const logging = Effect.andThen(Effect.logError(error), Effect.logError("failed", Cause.fail(error)))
        yield* Effect.provide(logging, Logger.layer([logger]))
      }
      assert.strictEqual(lines.length, 6)
      for (const line of lines) assert.include(line, "TimedOut: no first token within 30s (firstToken limit)")
    })
  )

  it.effect("says the same everywhere when it leaves a model, whoever made it", () =>
    Effect.gen(function* () {
      const reason = new AiError.InternalProviderError({ description: "no" })
      const provider = scripted([{ error: AiError.make({ module: "mine", method: "call", reason }) }]).provider
      const error = yield* Effect.flip(LanguageModel.generateText({ prompt: "q" })).pipe(
        Effect.provide(Model.layer({ provider })),
        Effect.provide(Supervisor.layer())
      )
      isShown(error)
      isShown(error.reason)
      assert.strictEqual(parsed(error).message, "mine.call: Internal provider error: no")
    })
  )

  it("is shown as it is where it is frozen", () => {
    const error = Object.freeze(
      AiError.make({ module: "m", method: "m", reason: Object.freeze(new AiError.UnknownError({ description: "?" })) })
    )
    assert.strictEqual(CallError.shown(error), error)
    assert.strictEqual(error.message, "m.m: ?")
  })

  it("shows of another's error in it no more than its words and codes", () => {
    const cause = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", request: { authorization: "key" } })
    const reason = new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "http://a", cause })
    const shown = CallError.make({ module: "m", method: "m", reason })
    const wanted = { name: "Error", message: "read ECONNRESET", code: "ECONNRESET" }
    assert.deepStrictEqual(parsed(shown).reason.cause, wanted)
    assert.notInclude(inspect(shown, { depth: 20 }), "authorization")
    assert.notProperty(parsed(shown), "cause")
  })
})

const busy = { classify: () => ({ blame: "fault" as const }) }

/** Effects that are ended by a policy, each with the tag that it is ended with. */
const ended: Readonly<Record<string, Effect.Effect<Error, unknown>>> = {
  CircuitOpen: Effect.flatMap(CircuitBreaker.make({ ...busy, consecutive: 1 }), (breaker) => {
    const failing = Effect.flip(breaker("key")(Effect.fail(new Error("down"))))
    return Effect.andThen(failing, failing)
  }),
  DeadlineTooNear: Effect.flatMap(AdaptiveLimit.make(busy), (limited) =>
    Effect.provideService(Effect.flip(limited(Effect.void)), Deadline.Current, -1)
  ),
  NotAcceptable: Effect.flip(Race.effect([Effect.void], { acceptable: () => false })(Effect.void)),
  QueueFull: Effect.flatMap(Bulkhead.make({ concurrency: 1, maxWaiting: 0 }), (limited) =>
    limited(Effect.flip(limited(Effect.void)))
  ),
  RateLimited: Effect.flatMap(RateLimit.make({ requests: { limit: 1, window: "1 hour" }, maxWait: 0 }), (limited) =>
    Effect.andThen(limited(Effect.void), Effect.flip(limited(Effect.void)))
  ),
  TimedOut: Effect.flip(Timeout.effect("1 millis")(Effect.never))
}

describe("an effect that a policy limits", () => {
  it.live.each(Object.entries(ended))("fails with the reason %s as an error", ([tag, ending]) =>
    Effect.map(ending, (error) => {
      assert.instanceOf(error, Error)
      assert.isTrue(error.message.startsWith(`${tag}: `), error.message)
      isShown(error)
    })
  )
})

/** Those whose fields no schema knows. */
const plain: Readonly<Record<string, Error>> = {
  EventTooLarge: new EventTooLarge({ atMost: 3 }),
  Miscoded: new Miscoded({ coding: "gzip", because: "incorrect header check" }),
  NoHttp: new NoHttp({ because: "a status that is none" }),
  NotEvents: new NotEvents({ statusCode: 200, responseHeaders: {} }),
  ProxyError: new (ShownError.DataError("ProxyError"))<{ message: string }>({ message: "the proxy did not answer" }),
  TooLarge: new TooLarge({ atMostBytes: 3 }),
  UnknownCoding: new UnknownCoding({ coding: "zip" }),
  UnknownStatus: new UnknownStatus({ status: 999 }),
  Violation: new Violation({ expected: 1, actual: 2 })
}

describe("every class of errors", () => {
  const sources = globSync("src/**/*.ts").map((path) => ({ path, source: readFileSync(path, "utf8") }))
  const namesOf = (pattern: RegExp) =>
    sources.flatMap(({ path, source }) =>
      Array.from(source.matchAll(pattern), ([, name = ""]) => ({ path: join(import.meta.dirname, "..", path), name }))
    )
  const tagged = namesOf(/^export class (\w+) extends ShownError\.TaggedError</gm)

  it.effect("says the same everywhere, whatever its fields", () =>
    Effect.gen(function* () {
      for (const { name, path } of tagged) {
        const made = (yield* Effect.promise(() => import(path)))[name]
        assert.isTrue(Schema.isSchema(made), name)
        for (const error of yield* sampled(made as Schema.Codec<unknown, unknown>, 8)) {
          assert.isTrue(Predicate.isError(error))
          isShown(error as Error)
        }
      }
      assert.isAbove(tagged.length, 20)
    })
  )

  it("says the same everywhere, also where no schema knows its fields", () => {
    const names = namesOf(/^(?:export )?class (\w+) extends ShownError\.DataError\(/gm).map(({ name }) => name)
    assert.deepStrictEqual(names.sort(), Object.keys(plain))
    for (const error of Object.values(plain)) isShown(error)
  })

  it("is one of these, or never leaves the reader that throws it", () => {
    const others = namesOf(/^(?:export )?class (\w+) extends (?:Schema|Data)\.\w*Error\b|\bnew (AiError)\.AiError\(/gm)
    assert.deepStrictEqual(others.map(({ name }) => name).sort(), [
      "BeyondLimit",
      "ConnectionFailed",
      "Cut",
      "Refused",
      "Unreadable",
      "Unspliceable"
    ])
    const makers = sources.filter(({ source }) => /^(?! *\*).*\bAiError\.make\(/m.test(source)).map(({ path }) => path)
    assert.deepStrictEqual(makers.sort(), ["src/core/call/CallError.ts", "src/core/call/PolicyReason.ts"])
  })
})
