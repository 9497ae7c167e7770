/**
 * Keeps two runs from writing one output: a file `OUTPUT.lock` that names the process which writes.
 *
 * The lock of a process that is gone, killed for example, is taken over. It is advisory, and sees processes of this
 * machine only: over a network file system two machines can still collide.
 */
import { Effect, FileSystem, Option, Schema } from "effect"
import type { Scope } from "effect"
import { BatchError, OutputLocked, OutputUnwritable, problemOf } from "./BatchError.ts"

/** Takes the lock of an output file for the current scope. Fails with `OutputLocked` when a live process has it. */
export const take = (output: string): Effect.Effect<void, BatchError, FileSystem.FileSystem | Scope.Scope> =>
  FileSystem.FileSystem.use((fs) => {
    const lock = `${output}.lock`
    const own = `${lock}.${process.pid}`
    const mine = encodeOwner(thisProcess)
    const owner = Effect.option(fs.readFileString(lock)).pipe(Effect.map(Option.flatMap(decodeOwner)))

    const acquire = fs.writeFileString(lock, mine, { flag: "wx" }).pipe(
      Effect.catchReason("PlatformError", "AlreadyExists", () =>
        Effect.gen(function* () {
          // A lock without an owner is either being written right now, or a crash has cut it.
          const holder = Option.isSome(yield* owner) ? yield* owner : yield* Effect.delay(owner, pause)
          yield* refuseIf(holder, isAlive)
          yield* fs.writeFileString(own, mine)
          yield* fs.rename(own, lock)
          // Of two that take over at once, the one that renames last has the lock: look again when both have.
          yield* Effect.sleep(pause)
          yield* refuseIf(yield* owner, (holder) => encodeOwner(holder) !== mine)
        })
      ),
      Effect.catchTag("PlatformError", (error) =>
        Effect.fail(new BatchError({ reason: new OutputUnwritable({ path: output, problem: problemOf(error) }) }))
      )
    )

    const refuseIf = (holder: Option.Option<Owner>, refuses: (holder: Owner) => boolean) =>
      Option.isSome(holder) && refuses(holder.value)
        ? Effect.fail(new BatchError({ reason: new OutputLocked({ path: output, lock, pid: holder.value.pid }) }))
        : Effect.void

    return Effect.asVoid(Effect.acquireRelease(acquire, () => Effect.ignore(fs.remove(lock))))
  })

const pause = "50 millis"

// A process id alone is used again, in a container at once; together with the start it names one process.
const Owner = Schema.Struct({ pid: Schema.Int, startedAtMillis: Schema.Int })
type Owner = typeof Owner.Type

const thisProcess: Owner = { pid: process.pid, startedAtMillis: Math.round(performance.timeOrigin) }

const encodeOwner = Schema.encodeSync(Schema.fromJsonString(Owner))

const decodeOwner = Schema.decodeUnknownOption(Schema.fromJsonString(Owner))

const isAlive = (owner: Owner): boolean =>
  owner.pid === thisProcess.pid ? owner.startedAtMillis === thisProcess.startedAtMillis : answersSignals(owner.pid)

/** Asks the system whether a process exists; one of another user's exists too. */
const answersSignals = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}
