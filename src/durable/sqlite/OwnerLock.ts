/**
 * Sees to it that one process at a time owns a file: a lock of the system on the database `FILE.owner`, which the system lets go
 * of when the process ends, however that was.
 *
 * The lock is one that lets others read, so the second one can say who the first is.
 */
import { chmodSync, closeSync, openSync } from "node:fs"
import { hostname } from "node:os"
import { DatabaseSync } from "node:sqlite"
import { trouble } from "./Trouble.ts"

/** Takes the lock, and gives how to release it. Throws `Owned` when somebody has it. */
export const take = (path: string): (() => void) => {
  const lock = `${path}.owner`
  createPrivate(lock)
  const database = new DatabaseSync(lock, { timeout: 0 })
  try {
    for (;;) {
      // Who owns it has to be committed for others to read it, and somebody else may come between that and the lock.
      database.exec("PRAGMA journal_mode = DELETE; BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS owner (name TEXT)")
      database.exec("DELETE FROM owner")
      database.prepare("INSERT INTO owner VALUES (?)").run(myName)
      database.exec("COMMIT; BEGIN IMMEDIATE")
      if (ownerOf(database) === myName) return () => database.close()
      database.exec("ROLLBACK")
    }
  } catch (error) {
    const isBusy = ((error as { errcode?: number }).errcode ?? 0) % 256 === 5
    const by = isBusy ? ownerOf(database) : ""
    database.close()
    throw isBusy ? trouble({ _tag: "Owned", path, by }) : error
  }
}

const myName = `process ${process.pid} on ${hostname()}`

const ownerOf = (database: DatabaseSync): string => {
  try {
    return String(database.prepare("SELECT name FROM owner").get()?.["name"] ?? "another process")
  } catch {
    return "another process"
  }
}

/**
 * Makes a file that only its user can read, or has one become so. A file that is there is not opened: closing it again would let
 * go of every lock that this process has on it.
 */
export const createPrivate = (path: string): void => {
  try {
    closeSync(openSync(path, "wx", 0o600))
  } catch (error) {
    if ((error as { code?: string }).code !== "EEXIST") throw error
    chmodSync(path, 0o600)
  }
}
