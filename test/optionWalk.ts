/**
 * Hands every option what makes no sense for it, and sees that it is refused by its name.
 */
import { describe, assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, type Scope } from "effect"
import { Supervisor } from "holdfast/supervisor"
import { fieldsOf } from "./docs/pages.ts"

/** What no option may be, unless its row says so. */
export const senseless: Readonly<Record<string, unknown>> = {
  NaN: Number.NaN,
  "0": 0,
  "-0": -0,
  "-1": -1,
  "1.5": 1.5,
  Infinity: Infinity,
  "-Infinity": -Infinity,
  "2^31": 2 ** 31,
  "2^53+1": 2 ** 53 + 2,
  "an empty text": "",
  "a text": "soon",
  null: null,
  true: true,
  "an object": { fact: [] },
  "an array": [],
  "a symbol": Symbol("s"),
  "a function": () => {}
}

export const wholes = ["2^31"]
export const atLeast0 = ["0", "-0", ...wholes]
// In the limits of a supervisor, `null` is the same as nothing.
export const orNull = (fields: Readonly<Record<string, ReadonlyArray<string>>>) =>
  Object.fromEntries(Object.entries(fields).map(([field, allowed]) => [field, [...allowed, "null"]]))
export const times = ["1.5", "2^31", "2^53+1"]
export const endless = [...times, "Infinity"]
export const waits = [...endless, "0", "-0"]
export const texts = ["an empty text", "a text"]

/** Hands a value to whoever takes the option. */
type Use = (option: string, value: unknown) => Effect.Effect<unknown, unknown, Supervisor.Supervisor | Scope.Scope>

export const given = <Options>(option: string, value: unknown, others: object = {}): Options =>
  // What plain JavaScript would hand over.
  ({ ...others, [option]: value }) as Options

/**
 * An interface of options: who takes it, as messages name it, where it stands, how to hand over a value, and which of the
 * senseless values each of its fields takes all the same.
 */
export type Table = readonly [string, string, string, Use, Readonly<Record<string, ReadonlyArray<string>>>]

/** Whether a value was refused, by the names of its owner and of the option. */
export const isRefused = (
  use: Effect.Effect<unknown, unknown, Supervisor.Supervisor | Scope.Scope>,
  name: string,
  option: string
) =>
  Effect.map(
    Effect.exit(Effect.provide(Effect.scoped(Effect.suspend(() => use)), [Supervisor.layer(), Logger.layer([])])),
    (exit) => {
      if (Exit.isSuccess(exit)) return false
      const error = Cause.squash(exit.cause)
      if (!(error instanceof RangeError)) return false
      assert.match(
        error.message,
        new RegExp(`^${name.replaceAll(".", "\\.")} option ${option}\\b.*( must be .*, got | has no option )`, "s")
      )
      return true
    }
  )

/** Tests all values in all fields of all tables. */
export const walk = (tables: ReadonlyArray<Table>) =>
  describe.each(tables)(
    "an option of %s that makes no sense is refused by its name",
    (name, file, options, use, fields) => {
      it(`in each field of ${options}`, () =>
        assert.deepStrictEqual(
          Object.keys(fields).sort(),
          fieldsOf(file, options)
            .map((field) => field.name)
            .sort()
        ))

      it.effect.each(Object.entries(fields))("%s", ([option, allowed]) =>
        Effect.gen(function* () {
          const taken = yield* Effect.filter(Object.entries(senseless), ([, value]) =>
            Effect.map(
              isRefused(
                Effect.suspend(() => use(option, value)),
                name,
                option
              ),
              (refused) => !refused
            )
          )
          assert.sameMembers(
            taken.map(([said]) => said),
            [...allowed],
            option
          )
        })
      )
    }
  )
