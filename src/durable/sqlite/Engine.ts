/**
 * Runs requests on a file: many of them in one transaction, which is on the disk when it has answered.
 *
 * Synchronous, and without a word of Effect: it runs on the main thread or in one of its own.
 */
import { realpathSync, statfsSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Core, type Settings } from "../store/Core.ts"
import type { Signal } from "../store/Job.ts"
import type { Answer, Name, Operation } from "../store/Operation.ts"
import type { Instant } from "../store/Transitions.ts"
import * as OwnerLock from "./OwnerLock.ts"
import * as Schema from "./Schema.ts"
import { SqliteTable } from "./SqliteTable.ts"
import { type Problem, problemOf, trouble } from "./Trouble.ts"

/** What became of a request: its answer, what is wrong with the file, or a bug. */
export type Outcome =
  | { readonly is: "answer"; readonly answer: Answer<Name> }
  | { readonly is: "problem"; readonly problem: Problem }

export interface Batch {
  readonly outcomes: ReadonlyArray<Outcome>
  readonly signals: ReadonlyArray<Signal>
}

/** How long the log of what was committed may stay on the disk once it has been written into the file. */
const largestLog = 64 * 1024 * 1024

export class Engine {
  private readonly path: string
  private readonly database: DatabaseSync
  private readonly table: SqliteTable
  private readonly core: Core
  private readonly release: () => void

  /** Opens a file, or makes it; takes back what ran when it was closed. Throws what is wrong. */
  constructor(file: string, settings: Settings, at: Instant) {
    this.path = file
    let release: (() => void) | undefined
    let database: DatabaseSync | undefined
    try {
      const folder = realpathSync(dirname(file))
      if (isNetwork(statfsSync(folder).type)) {
        throw trouble({ _tag: "Unavailable", problem: `${folder} is on another machine: locks do not hold there` })
      }
      const path = realPath(join(folder, basename(file)))
      release = OwnerLock.take(path)
      OwnerLock.createPrivate(path)
      database = new DatabaseSync(path, { timeout: 5_000, enableForeignKeyConstraints: false })
      Schema.migrate(database, file)
      database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = ${largestLog}`)
      this.release = release
      this.database = database
      this.table = new SqliteTable(database)
      this.core = new Core(this.table, settings)
      this.transact(() => this.core.recover(at))
      this.core.takeSignals()
    } catch (error) {
      database?.close()
      release?.()
      throw trouble(problemOf(error, file))
    }
  }

  /** Does all of it in one transaction; what keeps that from being done is done alone, so that only it fails. */
  run(operations: ReadonlyArray<Operation>): Batch {
    try {
      const answers = this.transact(() => operations.map((operation) => this.core.apply(operation)))
      return { outcomes: answers.map((answer) => ({ is: "answer", answer })), signals: this.core.takeSignals() }
    } catch (error) {
      this.core.takeSignals()
      if (operations.length === 1) {
        return { outcomes: [{ is: "problem", problem: problemOf(error, this.path) }], signals: [] }
      }
      const alone = operations.map((operation) => this.run([operation]))
      return {
        outcomes: alone.flatMap(({ outcomes }) => outcomes),
        signals: alone.flatMap(({ signals }) => signals)
      }
    }
  }

  close(): void {
    this.database.close()
    this.release()
  }

  private transact<A>(work: () => A): A {
    this.database.exec("BEGIN IMMEDIATE")
    try {
      const done = work()
      this.table.flush()
      this.database.exec("COMMIT")
      return done
    } catch (error) {
      // A full disk has taken the transaction back already.
      if (this.database.isTransaction) this.database.exec("ROLLBACK")
      this.table.reload()
      throw error
    }
  }
}

/** Where a link leads to, so that one file has one lock. */
const realPath = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

/** NFS, SMB, CIFS, SMB2, AFS and 9P, by their numbers on Linux; elsewhere they are not told apart. */
const networks = new Set([0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x5346414f, 0x01021997])

export const isNetwork = (type: number): boolean => networks.has(type)
