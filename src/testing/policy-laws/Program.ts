/**
 * Describes what callers and models do to a stack of policies, as plain data: what can be made from a seed, printed, made
 * smaller and run again.
 */
import { Chance } from "../seed/Chance.ts"
import type { Behaviour } from "../faults/Behaviour.ts"
import { fromSeed } from "../faults/Draw.ts"

/** What several clients ask at the same time, how the models answer, and which fiber goes on when. */
export interface Program {
  /** The stack it is tried with, where that was drawn with it. */
  readonly stack?: Plan | undefined
  /** Chooses the order: the seed of a `SeededScheduler`. */
  readonly order: number
  /** How each model answers: its calls one after the other, and from the first again. The first model is the one asked. */
  readonly models: ReadonlyArray<ReadonlyArray<Answer>>
  /** The calls of each client, one after the other. */
  readonly clients: ReadonlyArray<ReadonlyArray<Call>>
  /** When the wall clock is set, and by how much, back where that is negative. Default: never. */
  readonly clock?: { readonly after: number; readonly by: number } | undefined
}

/** A stack as plain data. */
export interface Plan {
  /** Outermost first. */
  readonly policies: ReadonlyArray<Layer>
  /** Whether the models are one pool. */
  readonly pool?: boolean | undefined
}

/** A policy: its name in the table of kinds, and its options there. */
export interface Layer {
  readonly is: string
  readonly with: object
}

/** How one call is answered. Its texts are replaced by such that name the call, no two of them alike. */
export interface Answer extends Behaviour {
  /** Asked to go on from a text, the model says that text first, as some do. */
  readonly repeats?: boolean | undefined
}

/** One call. Times are in milliseconds. */
export interface Call {
  readonly method: "generateText" | "streamText"
  /** Calls with the same number have the same prompt, tools and form of the answer. */
  readonly prompt: number
  /** What the client waits before. */
  readonly after?: number | undefined
  readonly tenant?: string | undefined
  readonly task?: string | undefined
  readonly priority?: number | undefined
  /** What is left, by `Deadline`, of a time that nobody enforces. */
  readonly deadline?: number | undefined
  /** What the reader of a stream takes for each chunk. */
  readonly pause?: number | undefined
  /** After how many parts the reader of a stream leaves. */
  readonly take?: number | undefined
  /** When the caller is interrupted: after so long, and then so many turns of other fibers. */
  readonly leave?: { readonly millis: number; readonly turns: number } | undefined
}

/** How many models a program has: the one that is asked, and those that policies may ask besides. */
export const modelCount = 3

/**
 * Makes a program from a seed: up to three clients with up to two calls each, now and then callers that fail together or a
 * crowd, and once in 5,000 thousands of tenants.
 */
export const generate = (seed: number): Program => {
  const chance = new Chance(seed)
  if (seed % 5_000 === 500) return thousandsOfTenants(chance.below(2 ** 31))
  if (chance.onceIn(12)) return failingTogether(chance)
  const isCrowd = chance.onceIn(400)
  // In most programs callers have nothing in common, in some everything.
  const prompts = chance.oneOf([1, 2, 100])
  const clients = Array.from({ length: chance.oneOf([1, 1, 2, 2, 3]) }, () =>
    Array.from({ length: chance.oneOf([1, 1, 2]) }, () => callOf(chance, prompts))
  )
  return {
    order: chance.below(2 ** 31),
    models: Array.from({ length: modelCount }, () => answersOf(chance)),
    clients: isCrowd ? [...clients, crowd] : clients,
    ...(chance.onceIn(8)
      ? {
          clock: {
            after: chance.oneOf([0, 20, 1_000, 15_000]),
            by: chance.oneOf([-3_600_000, 3_600_000, -1_000, 1_000])
          }
        }
      : {})
  }
}

/** Calls that are made at one moment, of models that fail each of them once, a moment later and each model in its way. */
const failingTogether = (chance: Chance): Program => {
  const method = chance.oneOf(["generateText", "streamText"])
  const callers = 2 + chance.below(2)
  const answersOf = (): ReadonlyArray<Answer> => {
    const failing: Answer = {
      latency: { headers: 10 },
      fault: {
        is: "refuse",
        because: chance.oneOf(["server error", "overloaded", "rate limited"]),
        ...(chance.onceIn(3) ? { retryAfter: chance.oneOf([250, 5_000]) } : {})
      }
    }
    return Array.from({ length: 2 * callers }, (_, index) => (index < callers ? failing : {}))
  }
  return {
    order: chance.below(2 ** 31),
    models: Array.from({ length: modelCount }, answersOf),
    clients: Array.from({ length: callers }, (_, prompt) => [{ method, prompt }])
  }
}

/** How many tenants there are where there are thousands: more than policies keep in mind, where nobody says otherwise. */
const tenants = 1_200

/** One tenant's calls before and after those of all the others, each of which makes one. */
const thousandsOfTenants = (order: number): Program => {
  const first = Array.from({ length: 6 }, (_, prompt): Call => ({ method: "generateText", prompt, tenant: "first" }))
  const clients = 8
  const others = Array.from({ length: clients }, (_, client) =>
    Array.from({ length: tenants / clients }, (_, index): Call => {
      const prompt = 1_000 + index * clients + client
      return { method: "generateText", prompt, tenant: `tenant ${prompt}`, ...(index === 0 ? { after: 100 } : {}) }
    })
  )
  const again = first.map((call, index) => ({
    ...call,
    prompt: call.prompt + 10,
    ...(index === 0 ? { after: 300 } : {})
  }))
  return { order, models: Array.from({ length: modelCount }, () => [{}]), clients: [[...first, ...again], ...others] }
}

const callOf = (chance: Chance, prompts: number): Call => {
  const method = chance.oneOf(["generateText", "streamText"])
  return {
    method,
    prompt: chance.below(prompts),
    ...(chance.onceIn(3) ? { after: chance.oneOf([0, 1, 50, 1_000, 20_000]) } : {}),
    ...(chance.onceIn(3) ? { tenant: chance.oneOf(["red", "blue"]) } : {}),
    ...(chance.onceIn(6) ? { task: "summary" } : {}),
    ...(chance.onceIn(5) ? { priority: chance.oneOf([-10, 10]) } : {}),
    ...(chance.onceIn(8) ? { deadline: chance.oneOf([100, 2_000, 20_000]) } : {}),
    ...(method === "streamText" && chance.onceIn(6) ? { pause: chance.oneOf([1, 100, 3_000]) } : {}),
    ...(method === "streamText" && chance.onceIn(6) ? { take: 1 + chance.below(5) } : {}),
    ...(chance.onceIn(3)
      ? { leave: { millis: chance.oneOf([0, 0, 1, 10, 101, 300, 1_500, 12_000]), turns: chance.below(12) } }
      : {})
  }
}

const crowd: ReadonlyArray<Call> = Array.from({ length: 24 }, (_, index) => ({
  method: index % 2 === 0 ? "generateText" : "streamText",
  prompt: 1_000 + index,
  tenant: `tenant ${index}`
}))

const answersOf = (chance: Chance): ReadonlyArray<Answer> => {
  const dies = chance.onceIn(20)
  return Array.from({ length: 1 + chance.below(3) }, () => {
    const drawn = fromSeed(chance.below(2 ** 31), dies ? { faults: ["die", "refuse", "cut"] } : {})({ number: 1 })
    return { ...tamed(drawn), ...(chance.onceIn(3) ? { repeats: true } : {}) }
  })
}

/** As much to see, of fewer chunks: a run has to be cheap. */
const tamed = ({ content, fault, flood, ...rest }: Behaviour): Behaviour => ({
  ...rest,
  ...(content === undefined
    ? {}
    : { content: content.map((each) => ({ ...each, chunks: Math.min(3, each.chunks ?? 3) })) }),
  ...(flood === undefined ? {} : { flood: { ...flood, count: Math.min(3, flood.count) } }),
  ...(fault === undefined
    ? {}
    : {
        fault:
          fault.is === "stall" && fault.keepAlive !== undefined
            ? { ...fault, keepAlive: { ...fault.keepAlive, every: 1_500 } }
            : fault
      })
})
