import { spawn, spawnSync } from "node:child_process"
import { connect, createServer, type Server, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Metric, Ref, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { LeakDetector } from "holdfast/testing"

const quick = { settle: "50 millis" } as const

const leakOf = <A, E>(program: Effect.Effect<A, E>, options: LeakDetector.Options = quick) =>
  Effect.flip(LeakDetector.check(program, options))

const isLeak = (error: unknown, fibers: number, handles: Record<string, number>) => {
  assert(error instanceof LeakDetector.Leaked, String(error))
  assert.deepStrictEqual({ fibers: error.fibers, handles: error.handles }, { fibers, handles })
}

/** Opens something and leaves it to the test to close it, after the check has looked. */
const leftOpen = <A>(open: () => A, close: (resource: A) => void) =>
  Effect.gen(function* () {
    const opened = yield* Effect.acquireRelease(Ref.make<ReadonlyArray<A>>([]), (ref) =>
      Effect.map(Ref.get(ref), (resources) => resources.forEach(close))
    )
    return { open: Effect.sync(open).pipe(Effect.tap((resource) => Ref.set(opened, [resource]))) }
  })

/** Runs something detached and leaves it to the test to stop it. */
const leftRunning = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    return {
      fork: Effect.tap(Effect.forkDetach(effect), (fiber) => Scope.addFinalizer(scope, Fiber.interrupt(fiber)))
    }
  })

const startTimer = () => setInterval(() => {}, 60_000)
const leftOpenTimer = leftOpen(startTimer, (timer) => clearInterval(timer))

const listen = (server: Server) =>
  Effect.callback<number>((resume) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const opened = (port: number) =>
  Effect.callback<Socket>((resume) => {
    const socket = connect(port, "127.0.0.1", () => resume(Effect.succeed(socket)))
  })

describe("LeakDetector.check finds", () => {
  it.live("a detached fiber", () =>
    Effect.gen(function* () {
      const { fork } = yield* leftRunning(Effect.never)
      const left = yield* leakOf(fork)
      isLeak(left, 1, {})
    })
  )

  it.effect("a detached fiber that sleeps by the test clock", () =>
    Effect.gen(function* () {
      const { fork } = yield* leftRunning(Effect.sleep("1 hour"))
      const left = yield* leakOf(fork)
      assert(left instanceof LeakDetector.Leaked && left.fibers >= 1)
    })
  )

  it.effect("every fiber below a detached one", () =>
    Effect.gen(function* () {
      const three = Effect.forEach([1, 2, 3], () => Effect.never, { concurrency: "unbounded" })
      const { fork } = yield* leftRunning(three)
      const left = yield* leakOf(fork)
      isLeak(left, 4, {})
    })
  )

  it.effect("a fiber forked into a scope that outlives the program", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(LeakDetector.check(Effect.forkScoped(Effect.never), quick))
      assert.strictEqual(error.message, "left behind: 1 fiber")
    }).pipe(Effect.scoped)
  )

  it.effect("a timer left running", () =>
    Effect.gen(function* () {
      const { open } = yield* leftOpenTimer
      isLeak(yield* leakOf(open), 0, { Timeout: 1 })
    })
  )

  it.effect("a timer left running, and says where it was made", () =>
    Effect.gen(function* () {
      let made = ""
      const { open } = yield* leftOpen(
        () => {
          // On one line.
          const [here, timer] = [new Error("here"), setInterval(() => {}, 60_000)]
          made = /LeakDetector\.test\.ts:\d+/.exec(here.stack ?? "")?.[0] ?? "nowhere"
          return timer
        },
        (timer) => clearInterval(timer)
      )
      const left = yield* leakOf(open)
      assert(left instanceof LeakDetector.Leaked)
      assert.lengthOf(left.origins, 1)
      assert.match(left.origins[0] ?? "", /^Timeout at \/.*\/test\/testing\/LeakDetector\.test\.ts:\d+:\d+$/)
      assert.include(left.message, `left behind: 1 Timeout (Timeout at `)
      assert.include(left.message, `${made}:`)
    })
  )

  it.live("a timer of Effect's own, which was made nowhere in the program", () =>
    Effect.gen(function* () {
      const { fork } = yield* leftRunning(Effect.sleep("1 hour"))
      const left = yield* leakOf(fork)
      assert(left instanceof LeakDetector.Leaked)
      assert.strictEqual(left.message, "left behind: 1 fiber, 1 Timeout")
    })
  )

  it.effect("a timer left running while another one ends", () =>
    Effect.gen(function* () {
      const other = startTimer()
      const { open } = yield* leftOpenTimer
      const program = Effect.andThen(
        open,
        Effect.sync(() => clearInterval(other))
      )
      isLeak(yield* leakOf(program), 0, { Timeout: 1 })
    })
  )

  it.effect("an open server", () =>
    Effect.gen(function* () {
      const { open } = yield* leftOpen(
        () => createServer(),
        (server) => server.close()
      )
      isLeak(yield* leakOf(Effect.flatMap(open, listen)), 0, { TCPServerWrap: 1 })
    })
  )

  it.effect("an open socket, on both its ends", () =>
    Effect.gen(function* () {
      const open = new Set<Server | Socket>()
      const close = (each: Server | Socket) => ("destroy" in each ? each.destroy() : each.close())
      yield* Effect.addFinalizer(() => Effect.sync(() => open.forEach(close)))
      const program = Effect.gen(function* () {
        const server = createServer((socket) => open.add(socket))
        open.add(server)
        open.add(yield* Effect.flatMap(listen(server), opened))
      })
      isLeak(yield* leakOf(program), 0, { TCPServerWrap: 1, TCPSocketWrap: 2 })
    })
  )

  it.effect("a running process", () =>
    Effect.gen(function* () {
      const { open } = yield* leftOpen(
        () => spawn("sleep", ["60"], { stdio: "ignore" }),
        (child) => child.kill()
      )
      isLeak(yield* leakOf(open), 0, { ProcessWrap: 1 })
    })
  )

  it.effect("a leak of a program that fails, and keeps the failure", () =>
    Effect.gen(function* () {
      const { fork } = yield* leftRunning(Effect.never)
      const program = Effect.andThen(fork, Effect.fail("boom"))
      const exit = yield* Effect.exit(LeakDetector.check(program, quick))
      assert(Exit.isFailure(exit))
      const errors = exit.cause.reasons.filter(Cause.isFailReason).map((reason) => reason.error)
      assert.strictEqual(errors.length, 2)
      assert.instanceOf(errors[0], LeakDetector.Leaked)
      assert.strictEqual(errors[1], "boom")
    })
  )
})

describe("LeakDetector.check passes", () => {
  it.effect("a program that leaves nothing, with its result", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* LeakDetector.check(Effect.succeed(42)), 42)
    })
  )

  it.effect("children, which end with the program", () =>
    Effect.gen(function* () {
      const program = Effect.as(Effect.forkChild(Effect.never), "done")
      assert.strictEqual(yield* LeakDetector.check(program, { settle: 0 }), "done")
    })
  )

  it.live("a detached fiber that ends within the time to settle", () =>
    LeakDetector.check(Effect.forkDetach(Effect.sleep("30 millis")))
  )

  it.live("a server and its sockets that are closed but not waited for", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        const server = createServer((socket) => socket.resume())
        const socket = yield* Effect.flatMap(listen(server), opened)
        socket.end()
        server.close()
      })
      yield* LeakDetector.check(program)
    })
  )

  it.effect("work under the test clock", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.as(Effect.sleep("1 hour"), "slept"))
        yield* TestClock.adjust("1 hour")
        return yield* Fiber.join(fiber)
      })
      assert.strictEqual(yield* LeakDetector.check(program), "slept")
    })
  )

  it.live("timers that fired or were cleared", () =>
    LeakDetector.check(
      Effect.gen(function* () {
        yield* Effect.sync(() => clearInterval(startTimer()))
        yield* Effect.sleep("5 millis")
        yield* Effect.timeout(Effect.succeed(1), "1 hour")
        yield* Effect.race(Effect.sleep("1 hour"), Effect.void)
      }),
      quick
    )
  )

  it.effect("what was there before", () =>
    Effect.gen(function* () {
      const { open } = yield* leftOpenTimer
      yield* open
      yield* Effect.forkScoped(Effect.never)
      yield* LeakDetector.check(Effect.void, quick)
    })
  )

  it.live("what others start and leave open meanwhile: a timer, a server, a fiber's sleep", () =>
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      const done = yield* Deferred.make<void>()
      const program = Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(done))
      const checked = yield* Effect.forkChild(LeakDetector.check(program, quick))
      yield* Deferred.await(begun)
      const { open: timer } = yield* leftOpenTimer
      const { open: server } = yield* leftOpen(
        () => createServer(),
        (each) => each.close()
      )
      yield* timer
      yield* Effect.flatMap(server, listen)
      yield* Effect.forkScoped(Effect.sleep("1 hour"))
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(checked)
    })
  )

  it.effect("open handles when told not to look", () =>
    Effect.gen(function* () {
      const { open } = yield* leftOpenTimer
      yield* LeakDetector.check(open, { ...quick, handles: false })
    })
  )

  it.effect("on the program's failure, defect and interruption", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Effect.flip(LeakDetector.check(Effect.fail("boom"))), "boom")
      const died = yield* Effect.exit(LeakDetector.check(Effect.die("bug")))
      assert(Exit.isFailure(died) && Cause.hasDies(died.cause))
      const interrupted = yield* Effect.exit(LeakDetector.check(Effect.interrupt))
      assert(Exit.isFailure(interrupted) && Cause.hasInterrupts(interrupted.cause))
    })
  )

  it.effect("its own interruption on, and waits for the program's finalizers", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const released = yield* Ref.make(false)
      const program = Effect.acquireUseRelease(
        Deferred.succeed(started, undefined),
        () => Effect.never,
        () => Effect.andThen(Effect.yieldNow, Ref.set(released, true))
      )
      const fiber = yield* Effect.forkChild(LeakDetector.check(program))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(yield* Ref.get(released))
    })
  )
})

describe("LeakDetector.check in a runtime that does not tell of handles", () => {
  // As in Bun, whose hooks are never called.
  const blind = `
    import hooks from "node:async_hooks"
    import { syncBuiltinESMExports } from "node:module"
    const hook = { enable: () => hook, disable: () => hook }
    hooks.createHook = () => hook
    syncBuiltinESMExports()
    const { Effect } = await import("effect")
    const { LeakDetector } = await import("holdfast/testing")
    const timer = Effect.sync(() => void setInterval(() => {}, 1_000).unref())
    await Effect.runPromise(LeakDetector.check(timer))
  `

  it("says so, and looks at fibers only", () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--conditions=holdfast-source", "--input-type=module", "--eval", blind],
      { encoding: "utf8", cwd: process.cwd() }
    )
    assert.strictEqual(status, 0, stderr)
    assert.include(stdout + stderr, "this runtime does not tell which timers and sockets are open")
  })
})

describe("LeakDetector.make", () => {
  it.effect("counts the fibers alive right now", () =>
    Effect.gen(function* () {
      const detector = yield* LeakDetector.make
      yield* detector.watch(
        Effect.gen(function* () {
          const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(Effect.never))
          assert.strictEqual(yield* detector.liveFibers, 3)
          yield* Fiber.interruptAll(fibers.slice(1))
          assert.strictEqual(yield* detector.liveFibers, 1)
          yield* Fiber.interruptAll(fibers)
        })
      )
      assert.strictEqual(yield* detector.liveFibers, 0)
    })
  )

  it.effect("shows that the loser of a race is gone when the race returns", () =>
    Effect.gen(function* () {
      const detector = yield* LeakDetector.make
      const winner = yield* detector.watch(Effect.race(Effect.succeed("fast"), Effect.never))
      assert.deepStrictEqual([winner, yield* detector.liveFibers], ["fast", 0])
    })
  )

  it.effect("sees the fibers of a stream left early", () =>
    Effect.gen(function* () {
      const detector = yield* LeakDetector.make
      const merged = Stream.mergeAll([Stream.make(1), Stream.never, Stream.never], { concurrency: "unbounded" })
      yield* detector.watch(Stream.runHead(merged))
      assert.strictEqual((yield* detector.snapshot).fibers, 0)
    })
  )

  it.effect("keeps a metrics service that is already there informed", () =>
    Effect.gen(function* () {
      const heard: Array<string> = []
      const service: Metric.FiberRuntimeMetricsService = {
        recordFiberStart: () => heard.push("start"),
        recordFiberEnd: (_, exit) => heard.push(Exit.isSuccess(exit) ? "success" : "failure")
      }
      const detector = yield* LeakDetector.make
      const program = Effect.forkChild(Effect.succeed(1)).pipe(Effect.flatMap(Fiber.join))
      yield* Effect.provideService(detector.watch(program), Metric.FiberRuntimeMetrics, service)
      assert.deepStrictEqual(heard, ["start", "success"])
    })
  )
})
