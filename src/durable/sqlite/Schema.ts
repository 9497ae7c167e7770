/**
 * The tables of a file, and how an older file becomes one of today. A step that was published is never changed: a new one is
 * added.
 */
import type { DatabaseSync } from "node:sqlite"
import { trouble } from "./Trouble.ts"

/** `HOLD`: marks a file as one of ours. */
const applicationId = 0x484f4c44

/** From nothing to the first version, from that to the second, and so on. */
const steps: ReadonlyArray<string> = [
  `
  CREATE TABLE job (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    key TEXT NOT NULL,
    priority REAL NOT NULL,
    state INTEGER NOT NULL,
    place REAL NOT NULL,
    due REAL,
    attempt INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    claims INTEGER NOT NULL,
    worker TEXT,
    idempotency_key TEXT,
    submitted REAL NOT NULL,
    started REAL,
    ended REAL,
    cancel_reason TEXT,
    events INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    progress TEXT,
    result TEXT,
    payload TEXT NOT NULL
  ) STRICT;
  CREATE INDEX job_ready ON job (name, key, place) WHERE state = 0 AND due IS NULL;
  CREATE INDEX job_due ON job (due) WHERE state = 0 AND due IS NOT NULL;
  CREATE INDEX job_running ON job (name) WHERE state = 1;
  CREATE INDEX job_ended ON job (ended) WHERE state >= 2;
  CREATE INDEX job_state ON job (state);
  CREATE UNIQUE INDEX job_idempotency ON job (name, key, idempotency_key) WHERE idempotency_key IS NOT NULL;
  CREATE TABLE lane (
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    running INTEGER NOT NULL,
    turn REAL NOT NULL,
    since REAL NOT NULL,
    score REAL,
    PRIMARY KEY (name, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX lane_score ON lane (name, score) WHERE score IS NOT NULL;
  CREATE TABLE fact (
    fact TEXT NOT NULL,
    value TEXT NOT NULL,
    job INTEGER NOT NULL,
    PRIMARY KEY (fact, value, job)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE event (
    job INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    at REAL NOT NULL,
    data TEXT,
    PRIMARY KEY (job, sequence)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE attempt (
    job INTEGER NOT NULL,
    claim INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    started REAL NOT NULL,
    ended REAL,
    outcome INTEGER,
    error TEXT,
    PRIMARY KEY (job, claim)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE step (
    position INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    UNIQUE (job, name)
  ) STRICT;
  CREATE TABLE ledger (turn REAL NOT NULL, ended INTEGER NOT NULL, characters INTEGER NOT NULL) STRICT;
  INSERT INTO ledger VALUES (0, 0, 0);
  `
]

/** The version that this release writes. */
const current = steps.length

/** Brings a file to the newest version. Throws for one that is newer, or not ours. */
export const migrate = (database: DatabaseSync, path: string): void => {
  const found = pragma(database, "user_version")
  const owner = pragma(database, "application_id")
  if (owner === 0 ? pragma(database, "page_count") > 0 : owner !== applicationId) {
    throw trouble({ _tag: "Damaged", path, problem: "it is a database of another program" })
  }
  if (found > current) throw trouble({ _tag: "Newer", path, found, known: current })
  for (const [index, step] of steps.entries()) {
    if (index < found) continue
    database.exec(
      `BEGIN IMMEDIATE; ${step}; PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${index + 1}; COMMIT`
    )
  }
}

const pragma = (database: DatabaseSync, name: string): number =>
  Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0] ?? 0)
