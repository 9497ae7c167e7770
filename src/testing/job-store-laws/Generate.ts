/**
 * Makes programs from seeds.
 */
import type { Metadata } from "../../core/JobEvent.ts"
import type { Outcome } from "../../durable/JobStore.ts"
import { Chance } from "../seed/Chance.ts"
import { type Command, type Program, type Submission, texts, type Which } from "./Program.ts"

/** Makes a program from a seed: some jobs, and up to thirty requests of workers and of people. */
export const generate = (seed: number): Program => {
  const chance = new Chance(seed)
  return chance.onceIn(12) ? comingBack(chance) : new Generator(chance).program()
}

/** A key that waits, and one that comes again with a job each time its last one has ended. */
const comingBack = (chance: Chance): Program => {
  const served: ReadonlyArray<Command> = [
    { do: "claim", want: { worker: "w-1", slots: 1, names: [{ name: "mail" }] } },
    { do: "settle", ends: [{ token: 0, as: "Completed", text: 0, delay: 0 }] },
    { do: "pass", millis: chance.below(2) }
  ]
  const job = (id: string, key: string) => ({ id, name: "mail", key, text: 0 })
  return {
    settings: { lease: 5_000, aging: 60_000, maxLost: 3 },
    commands: [
      { do: "submit", jobs: Array.from({ length: 4 }, (_, id) => job(`a-${id}`, "a")) },
      ...served,
      ...Array.from({ length: 6 }, (_, id): ReadonlyArray<Command> => [
        { do: "submit", jobs: [job(`b-${id}`, "b")] },
        ...served
      ]).flat()
    ]
  }
}

class Generator {
  private readonly chance: Chance
  // Most programs have few keys and one priority: order shows best there.
  private readonly keys: ReadonlyArray<string>
  private readonly priorities: ReadonlyArray<number>
  private readonly limit: number | undefined
  private readonly keyLimit: number | undefined
  private ids = 0

  constructor(chance: Chance) {
    this.chance = chance
    this.keys = chance.oneOf<ReadonlyArray<string>>([[""], ["a", "b"], ["a", "b", "c"], ["", 'a"', "a\\", "b"]])
    this.priorities = chance.oneOf<ReadonlyArray<number>>([[0], [0], [0, 1], [0, 10, -10]])
    this.limit = chance.oneOf<number | undefined>([undefined, undefined, 1, 2])
    this.keyLimit = chance.oneOf<number | undefined>([undefined, undefined, 1, 2])
  }

  program(): Program {
    const { chance } = this
    const commands: Array<Command> = [this.submit()]
    const length = chance.oneOf([6, 12, 20, 30])
    while (commands.length < length) commands.push(this.command())
    return {
      settings: {
        lease: chance.oneOf([1_000, 5_000]),
        aging: chance.oneOf([100, 60_000]),
        maxLost: chance.oneOf([1, 2, 3])
      },
      commands
    }
  }

  private command(): Command {
    const { chance } = this
    switch (chance.below(24)) {
      case 0:
      case 1:
      case 2:
        return this.submit()
      case 3:
        return { ...this.submit(), do: "submit twice" }
      case 4:
      case 5:
      case 6:
      case 7:
      case 8:
        return this.claim()
      case 9:
        return { ...this.claim(), do: "claim twice" }
      case 10:
        return { do: "renew", tokens: this.some(() => chance.below(6)) }
      case 11:
      case 12:
      case 13:
      case 14:
        return { do: "settle", ends: this.some(() => ({ token: this.token(), ...this.ending() })) }
      case 15:
        return {
          do: "record",
          token: this.token(),
          says: this.some(() => ({
            say: chance.oneOf(["Progress", "Report", "Step"]),
            name: chance.oneOf(["s", "t"]),
            text: this.text()
          }))
        }
      case 16:
        return { do: "cancel", which: this.which(), reason: chance.oneOf(["enough", "", 'a "reason"']) }
      case 17:
        return { do: "requeue", which: this.which() }
      case 18:
        return { do: "expire" }
      case 19:
        return {
          do: "prune",
          retention: chance.oneOf<Extract<Command, { do: "prune" }>["retention"]>([
            { age: 0 },
            { age: 500 },
            { count: 1 },
            { count: 0, age: 5_000 },
            { characters: 10 }
          ]),
          limit: chance.oneOf([1, 2, 100])
        }
      case 20:
        return { do: "look", which: this.which(), limit: chance.oneOf([1, 2, 100]) }
      case 21:
        return { do: "pass", millis: chance.oneOf([1, 150, 1_000, 5_000, 70_000]) }
      case 22:
        return chance.onceIn(3)
          ? { do: "set clock", millis: chance.oneOf([3_600_000, -3_600_000, 500, -500]) }
          : { do: "pass", millis: chance.oneOf([150, 1_000]) }
      default:
        return chance.oneOf<Command>([
          { do: "reopen" },
          { do: "crash" },
          { do: "crash during", jobs: this.submit().jobs },
          { do: "expire" }
        ])
    }
  }

  private submit(): { readonly do: "submit"; readonly jobs: ReadonlyArray<Submission> } {
    return { do: "submit", jobs: this.some(() => this.job()) }
  }

  private job(): Submission {
    const { chance } = this
    return {
      name: chance.oneOf(["mail", "mail", "scan"]),
      key: chance.oneOf([...this.keys] as [string, ...ReadonlyArray<string>]),
      priority: chance.oneOf([...this.priorities] as [number, ...ReadonlyArray<number>]),
      ...(chance.onceIn(4) ? { delay: chance.oneOf([100, 1_000, 3_000_000, -5]) } : {}),
      ...(chance.onceIn(8) ? { id: `own-${chance.below(3)}` } : { id: `job-${this.ids++}` }),
      ...(chance.onceIn(4) ? { idempotencyKey: chance.oneOf(["k", 'k"', "\ud800", "\udc00"]) } : {}),
      ...(chance.onceIn(3)
        ? { metadata: chance.oneOf<Metadata>([{ n: 1 }, { n: "1" }, { n: true, __proto_: "" }, { "": 0 }]) }
        : {}),
      text: this.text()
    }
  }

  private claim(): Extract<Command, { do: "claim" }> {
    const { chance, keyLimit, limit } = this
    const names = chance.oneOf<ReadonlyArray<string>>([
      ["mail"],
      ["scan"],
      ["mail", "scan"],
      ["other"],
      ["mail", "scan"]
    ])
    return {
      do: "claim",
      want: {
        worker: chance.oneOf(["w-1", "w-2"]),
        slots: chance.oneOf([1, 1, 2, 5]),
        names: names.map((name) => ({ name, limit, keyLimit }))
      }
    }
  }

  private ending(): { readonly as: Outcome["_tag"]; readonly text: number; readonly delay: number } {
    const { chance } = this
    return {
      as: chance.oneOf(["Completed", "Failed", "RetryAt", "RetryAt", "Cancelled", "Released"]),
      text: this.text(),
      delay: chance.oneOf([-10, 100, 1_000])
    }
  }

  private which(): Which {
    const { chance } = this
    return chance.oneOf<Which>([
      {},
      { ago: [chance.below(4)] },
      { ago: [chance.below(4), chance.below(4)] },
      { names: ["mail"] },
      { keys: ["a"] },
      { states: ["failed", "cancelled"] },
      { states: ["pending"], names: ["mail", "scan"] },
      { metadata: { n: 1 } },
      { metadata: { n: "1" }, states: ["running", "pending"] }
    ])
  }

  /** Mostly one of the newest. */
  private token(): number {
    return this.chance.onceIn(4) ? this.chance.below(8) : this.chance.below(2)
  }

  private text(): number {
    return this.chance.below(texts.length)
  }

  private some<A>(make: () => A): ReadonlyArray<A> {
    return Array.from({ length: 1 + (this.chance.onceIn(2) ? 0 : this.chance.below(4)) }, make)
  }
}
