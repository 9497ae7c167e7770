/**
 * Follows the timers, sockets, servers and other handles that one program starts, and nobody else's.
 *
 * Node hands the async context of whoever starts a handle on to all that follows from it. The program runs in a context of
 * its own, so a timer of the test runner, or of a test beside it, is never taken for one of the program.
 */
import { AsyncLocalStorage, AsyncResource, createHook } from "node:async_hooks"
import process from "node:process"
import { Effect, Fiber, Predicate } from "effect"
import * as HandleOrigin from "./HandleOrigin.ts"

/** How many handles there are of each kind, by Node's name for the kind. */
export type Counts = Readonly<Record<string, number>>

export interface Handles {
  /** False where the runtime does not tell of handles, as Bun does not: then none is ever counted. */
  readonly areSeen: boolean
  /** Runs an effect in a fiber of its own, whose handles are followed from then on. */
  readonly follow: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Counts those that are open and keep the process alive. */
  readonly open: Effect.Effect<Counts>
  /** Says where each of those was made, as `Timeout at /app/src/poll.ts:12:5`, as far as that is known. */
  readonly origins: Effect.Effect<ReadonlyArray<string>>
}

interface Seen {
  readonly kind: string
  readonly stack: HandleOrigin.Stack
  readonly resource: WeakRef<object>
}

/** Which program the running code belongs to. */
const owner = new AsyncLocalStorage<symbol>()

/** Lends what follows handles, for as long as `use` runs. */
export const following = <A, E, R>(use: (handles: Handles) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const program = Symbol("program")
    const seen = new Map<number, Seen>()
    let areSeen = false
    const hook = createHook({
      init: (id, kind, trigger, resource) => {
        if (passing.has(kind)) return
        if (resource instanceof AsyncResource) return void (areSeen ||= owner.getStore() === program)
        // What a server accepts has no context yet, but is known to come from that server.
        const isOwn = owner.getStore() === program || seen.has(trigger)
        if (isOwn) seen.set(id, { kind, resource: new WeakRef(resource), stack: HandleOrigin.take() })
      },
      destroy: (id) => void seen.delete(id)
    })
    const follow: Handles["follow"] = (effect) =>
      Effect.contextWith((context) =>
        Effect.acquireUseRelease(
          Effect.sync(() => owner.run(program, () => Effect.runForkWith(context)(effect))),
          Fiber.join,
          Fiber.interrupt
        )
      )
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        hook.enable()
        owner.run(program, () => new AsyncResource("probe")).emitDestroy()
      }),
      () =>
        use({
          areSeen,
          follow,
          open: Effect.map(ofProcess, (all) => countOpen(seen.values(), all)),
          origins: Effect.map(ofProcess, (all) => originsOf(seen.values(), all))
        }),
      () => Effect.sync(() => hook.disable())
    )
  })

/**
 * Counts the open handles of the whole process, from outside of any timer's callback: a timer that is just firing still
 * counts as open. Left out is `Immediate`, with which Effect's scheduler yields; it is gone within one turn of the event
 * loop.
 */
export const ofProcess: Effect.Effect<Counts> = Effect.map(Effect.yieldNow, () => {
  const counts: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) {
    if (kind !== "Immediate") counts[kind] = (counts[kind] ?? 0) + 1
  }
  return counts
})

/**
 * Kinds that come and go within a turn of the event loop, and are most of what there is. A context that code made for
 * itself, as Effect does for each fiber, is no handle either.
 */
const passing = new Set(["PROMISE", "TickObject", "Immediate", "Microtask"])

const originsOf = (seen: Iterable<Seen>, ofAll: Counts): ReadonlyArray<string> => {
  const left = { ...ofAll }
  return Array.from(openOf(seen, ofAll)).flatMap(({ name, stack }) => {
    const [place, more] = [HandleOrigin.of(stack), left[name] ?? 0]
    left[name] = more - 1
    return place === undefined || more <= 0 ? [] : [`${name} at ${place}`]
  })
}

// A request, as of a name or a file, does not tell whether it is still under way: no more are counted than the process has.
const countOpen = (seen: Iterable<Seen>, ofAll: Counts): Counts => {
  const counts: Record<string, number> = {}
  for (const { name } of openOf(seen, ofAll)) counts[name] = Math.min((counts[name] ?? 0) + 1, ofAll[name] ?? 0)
  return counts
}

function* openOf(seen: Iterable<Seen>, ofAll: Counts) {
  const names = new Map(Object.keys(ofAll).map((name) => [name.toUpperCase(), name]))
  for (const { kind, resource, stack } of seen) {
    const name = names.get((otherNames[kind] ?? kind).toUpperCase())
    if (name !== undefined && isOpen(resource.deref())) yield { name, stack }
  }
}

/** Kinds whose name is another one where Node lists what keeps the process alive. */
const otherNames: Readonly<Record<string, string>> = {
  TCPWRAP: "TCPSocketWrap",
  PIPESERVERWRAP: "PipeWrap"
}

/** Tells what keeps the process alive from what has ended, fired, was cleared, or was told not to. */
const isOpen = (resource: object | undefined): boolean => {
  if (resource === undefined) return false
  if (Predicate.hasProperty(resource, "_destroyed") && resource._destroyed === true) return false
  if (!Predicate.hasProperty(resource, "hasRef") || !Predicate.isFunction(resource.hasRef)) return true
  return resource.hasRef() === true
}
