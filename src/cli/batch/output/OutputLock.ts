/**
 * Keeps two runs from writing one output: a file `OUTPUT.lock` that the writing process holds a lock of the system on.
 *
 * The system lets go of it when the process ends, however that was, so there is no stale lock. The file itself is empty and is
 * removed at the end. Locks are SQLite's, which are those of the system everywhere; nothing is written into the file.
 */
import { Effect, Predicate } from "effect"
import type { Scope } from "effect"
import { chmodSync, lstatSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { BatchError, OutputLocked, OutputUnwritable, problemOfNode } from "../BatchError.ts"

/**
 * The locks that this thread holds, by the real path of the file. SQLite knows those of the process's other threads.
 *
 * Closing a file lets go of every lock of the process on it, through whichever handle it was taken, so the file is opened by SQLite
 * alone, which closes it when no lock of the process is left on it.
 */
const held = new Set<string>()

/**
 * Takes the lock of an output file for the current scope. Fails with `OutputLocked` when another run has it, in this thread, in
 * another of this process, or in another process.
 */
export const take = (output: string): Effect.Effect<void, BatchError, Scope.Scope> => {
  const lock = `${output}.lock`
  const locked = new BatchError({ reason: new OutputLocked({ path: output, lock }) })
  const unwritable = (problem: string) => new BatchError({ reason: new OutputUnwritable({ path: lock, problem }) })
  const acquire = Effect.suspend(() => {
    try {
      const name = realNameOf(lock)
      if (held.has(name)) return Effect.fail(locked)
      if (isOfFormerVersion(lock)) rmSync(lock)
      const found = lstatSync(lock, { throwIfNoEntry: false })
      if (found !== undefined && (!found.isFile() || found.size > 0)) {
        return Effect.fail(unwritable("it is there and not of a batch run: remove it, or choose another --out"))
      }
      for (let tries = 0; tries < 10; tries++) {
        const database = hold(lock)
        if (database === undefined) continue
        held.add(name)
        return Effect.succeed({ name, database })
      }
      return Effect.fail(locked)
    } catch (error) {
      return Effect.fail(isBusy(error) ? locked : unwritable(problemOfNode(error)))
    }
  })
  return Effect.asVoid(Effect.acquireRelease(acquire, (mine) => Effect.sync(() => release(lock, mine))))
}

/** The name of the lock in its real folder. The lock itself is no link: such a file is refused. */
const realNameOf = (lock: string): string => join(realpathSync(dirname(lock)), basename(lock))

/**
 * Locks the file; none when it was not there, and is now, or when it was removed meanwhile by who had it before: others would lock
 * another one.
 */
const hold = (lock: string): DatabaseSync | undefined => {
  const before = statSync(lock, { throwIfNoEntry: false })?.ino
  const database = new DatabaseSync(lock, { timeout: 0 })
  try {
    if (before === undefined) {
      chmodSync(lock, 0o600)
      database.close()
      return undefined
    }
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")
    const after = statSync(lock, { throwIfNoEntry: false })?.ino
    if (after !== undefined && after === before) return database
    database.close()
    return undefined
  } catch (error) {
    database.close()
    throw error
  }
}

const release = (
  lock: string,
  { database, name }: { readonly database: DatabaseSync; readonly name: string }
): void => {
  // Removed while it is held: whoever waits for this file sees that it is gone.
  rmSync(lock, { force: true })
  database.close()
  held.delete(name)
}

/** Versions before wrote their process's number into it, and left it when they were killed. */
const isOfFormerVersion = (lock: string): boolean => {
  const found = lstatSync(lock, { throwIfNoEntry: false })
  if (found === undefined || !found.isFile() || found.size === 0 || found.size > 200) return false
  return /^\{"pid":-?[\d.e+]+,"startedAtMillis":\d+\}\s*$/u.test(readFileSync(lock, "utf8"))
}

const isBusy = (error: unknown): boolean => Predicate.hasProperty(error, "errcode") && error.errcode === 5
