/**
 * Describes what callers and models do to a stack of policies, as plain data: what can be made from a seed, printed, made
 * smaller and run again.
 */
import { Chance } from "../seed/Chance.ts"
import type { Behaviour } from "../faults/Behaviour.ts"
import { fromSeed } from "../faults/Draw.ts"

/** What several clients ask at the same time, how the models answer, and which fiber goes on when. */
export interface Program {
  /** Chooses the order: the seed of a `SeededScheduler`. */
  readonly order: number
  /** How each model answers: its calls one after the other, and from the first again. The first model is the one asked. */
  readonly models: ReadonlyArray<ReadonlyArray<Answer>>
  /** The calls of each client, one after the other. */
  readonly clients: ReadonlyArray<ReadonlyArray<Call>>
}

/** How one call is answered. Its texts are replaced by such that name the call, no two of them alike. */
export interface Answer extends Behaviour {
  /** Asked to go on from a text, the model says that text first, as some do. */
  readonly repeats?: boolean | undefined
}

/** One call. Times are in milliseconds. */
export interface Call {
  readonly method: "generateText" | "streamText"
  /** Calls with the same number have the same prompt. */
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

/** Makes a program from a seed: up to three clients with up to two calls each, or now and then very many callers. */
export const generate = (seed: number): Program => {
  const chance = new Chance(seed)
  const isCrowd = chance.onceIn(400)
  // In most programs callers have nothing in common, in some everything.
  const prompts = chance.oneOf([1, 2, 100])
  const clients = Array.from({ length: chance.oneOf([1, 1, 2, 2, 3]) }, () =>
    Array.from({ length: chance.oneOf([1, 1, 2]) }, () => callOf(chance, prompts))
  )
  return {
    order: chance.below(2 ** 31),
    models: Array.from({ length: modelCount }, () => answersOf(chance)),
    clients: isCrowd ? [...clients, crowd] : clients
  }
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
