import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Inbox } from "../../../src/provider/chat-wire/Inbox.ts"

/** Lets everything run that is due. */
const rounds = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

it.effect("wakes a reader for what came between its last look and its wait", () =>
  Effect.gen(function* () {
    const inbox = new Inbox()
    const first = yield* Effect.forkChild(inbox.wait, { startImmediately: true })
    inbox.head(200, {})
    inbox.data(Buffer.from("a"))
    yield* Fiber.join(first)
    assert.strictEqual(inbox.take().length, 1)
    inbox.data(Buffer.from("b"))
    const second = yield* Effect.forkChild(inbox.wait, { startImmediately: true })
    yield* rounds
    assert.isDefined(second.pollUnsafe())
    assert.strictEqual(inbox.take().length, 1)
  })
)

it.effect("wakes a reader who waits while it is being woken for what it has taken already", () =>
  Effect.gen(function* () {
    const inbox = new Inbox()
    const first = yield* Effect.forkChild(inbox.wait, { startImmediately: true })
    inbox.data(Buffer.from("a"))
    yield* Fiber.interrupt(first)
    inbox.take()
    const second = yield* Effect.forkChild(inbox.wait, { startImmediately: true })
    yield* rounds
    assert.isUndefined(second.pollUnsafe())
    inbox.end()
    yield* rounds
    assert.isDefined(second.pollUnsafe())
  })
)

it.effect("does not wake a reader for what it has taken", () =>
  Effect.gen(function* () {
    const inbox = new Inbox()
    inbox.data(Buffer.from("a"))
    inbox.take()
    const fiber = yield* Effect.forkChild(inbox.wait, { startImmediately: true })
    yield* rounds
    assert.isUndefined(fiber.pollUnsafe())
    yield* Fiber.interrupt(fiber)
  })
)

it("reads a connection on that brings more, and is paused again, while it is being resumed", () => {
  const inbox = new Inbox()
  let left = 40
  const connection = { isPaused: true }
  const pump = () => {
    connection.isPaused = false
    while (!connection.isPaused && left > 0) {
      left--
      inbox.data(Buffer.alloc(100 * 1_024))
    }
  }
  inbox.exchange = { pause: () => void (connection.isPaused = true), resume: pump, close: () => {} }
  pump()
  assert.isTrue(connection.isPaused)
  let came = 0
  for (let looks = 0; looks < 40; looks++) came += inbox.take().length
  assert.strictEqual(came, 40)
})
