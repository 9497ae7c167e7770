/**
 * Deliberate faults in stores of jobs, each with the promise it breaks: what the laws must catch.
 */
import type { Mutant } from "../mutants/mutants.ts"

export const mutants: ReadonlyArray<Mutant> = [
  {
    fault: "a closed store answers as if it were open",
    breaks: "requestsAreAnswered",
    file: "durable/JobStore.ts",
    search: "if (PubSub.isShutdownUnsafe(signals)) {",
    replace: "if (PubSub.isShutdownUnsafe(signals) && operation.is !== 'get') {"
  },
  {
    fault: "of several jobs that are submitted together the last one is forgotten",
    breaks: "acknowledgedJobsAreThere",
    file: "durable/store/Core.ts",
    search: "      jobs.map((job) => {",
    replace: "      jobs.map((job, index) => {\n        if (index > 2) return { id: job.id, isNew: true }"
  },
  {
    fault: "an idempotency key that has lone surrogates is another one's",
    breaks: "oneJobForOneKey",
    file: "durable/store/MemoryTable.ts",
    search: "return this.byIdempotencyKey.get(joined(name, key, idempotencyKey))",
    replace: "return this.byIdempotencyKey.get(joined(name, key, idempotencyKey.toWellFormed()))"
  },
  {
    fault: "an idempotency key is free again when its job has ended",
    breaks: "oneJobForOneKey",
    file: "durable/store/Core.ts",
    search: "        if (found !== undefined) return { id: found.id, isNew: false }",
    replace:
      "        if (found !== undefined && (found.id === job.id || found.endedAtMillis === undefined)) return { id: found.id, isNew: false }"
  },
  {
    fault: "taking lost jobs back touches those that wait",
    breaks: "nothingElseChanges",
    file: "durable/store/Core.ts",
    search: "      let lost = 0\n      for (const row of this.table.running()) {",
    replace:
      "      let lost = 0\n      for (const row of this.table.select({ states: ['pending'] }, Infinity, 1)) this.moves.say(row, 'Lost', at)\n      for (const row of this.table.running()) {"
  },
  {
    fault: "a job that is to be cancelled runs again when its worker is lost",
    breaks: "cancellationsHold",
    file: "durable/store/Transitions.ts",
    search: `    this.say(row, "Lost", now)\n    if (row.cancelReason !== undefined) return this.end(row, "cancelled", "Cancelled", now, row.cancelReason)\n`,
    replace: `    this.say(row, "Lost", now)\n`
  },
  {
    fault: "the last reason of a cancellation counts",
    breaks: "cancellationsHold",
    file: "durable/store/Transitions.ts",
    search: "    if (row.cancelReason !== undefined) return\n    row.cancelReason = reason",
    replace: "    row.cancelReason = reason"
  },
  {
    fault: "a job that is queued again goes on counting its attempts",
    breaks: "requeuedJobsBeginAnew",
    file: "durable/store/Transitions.ts",
    search: "    row.attempt = 0\n",
    replace: ""
  },
  {
    fault: "a job that is queued again begins its tokens anew",
    breaks: "oneClaimAtATime",
    file: "durable/store/Transitions.ts",
    search: "    row.attempt = 0\n",
    replace: "    row.attempt = 0\n    row.claims = 0\n"
  },
  {
    fault: "retention counts from the submission of a job",
    breaks: "onlyTheOldAreDropped",
    file: "durable/store/Core.ts",
    search: "(row?.endedAtMillis ?? Infinity) <= at.wallMillis - ageMillis",
    replace: "(row?.submittedAtMillis ?? Infinity) <= at.wallMillis - ageMillis"
  },
  {
    fault: "what ended and was queued again still counts as ended",
    breaks: "onlyTheOldAreDropped",
    file: "durable/store/Transitions.ts",
    search: "  requeue(row: StoredRow, now: Instant): void {\n    this.count(row, -1)\n",
    replace: "  requeue(row: StoredRow, now: Instant): void {\n"
  },
  {
    fault: "the worker's name is the proof, and not its claim",
    breaks: "staleTokensChangeNothing",
    file: "durable/store/Core.ts",
    search: `return row?.state === "running" && row.claims === claim ? row : undefined`,
    replace: `return row?.state === "running" && claim > 0 ? row : undefined`
  },
  {
    fault: "a released attempt is counted",
    breaks: "attemptsEndAsTold",
    file: "durable/store/Transitions.ts",
    search: "    row.attempt--\n",
    replace: ""
  },
  {
    fault: "a job that is tried again is due at once",
    breaks: "attemptsEndAsTold",
    file: "durable/store/Transitions.ts",
    search: "row.dueMillis = atMillis > now.wallMillis ? atMillis : undefined",
    replace: "row.dueMillis = atMillis > now.wallMillis + 500 ? atMillis : undefined"
  },
  {
    fault: "the history does not say how a lost attempt ended",
    breaks: "attemptsAreRemembered",
    file: "durable/store/Transitions.ts",
    search: `    this.endAttempt(row, "Lost", now)\n`,
    replace: ""
  },
  {
    fault: "one more of a key may run when several are claimed at once",
    breaks: "limitsHold",
    file: "durable/store/MemoryTable.ts",
    search: "lane.running < keyLimit && ",
    replace: "lane.running < keyLimit + (lane.running > 1 ? 1 : 0) && "
  },
  {
    fault: "one claim does not see what it has just started of a name",
    breaks: "limitsHold",
    file: "durable/store/Core.ts",
    search: "        first.of.room--\n",
    replace: ""
  },
  {
    fault: "a delayed job starts a second early",
    breaks: "nothingStartsEarly",
    file: "durable/store/Core.ts",
    search: "const row = this.table.firstDue(at.wallMillis)",
    replace: "const row = this.table.firstDue(at.wallMillis + 1_000)"
  },
  {
    fault: "a key whose job was given back is forgotten",
    breaks: "whatCanRunIsGiven",
    file: "durable/store/Transitions.ts",
    search: '    this.table.save(row)\n    this.lanes.refresh(row, -1)\n    this.signal({ _tag: "Ready"',
    replace: '    this.lanes.refresh(row, -1)\n    this.table.save(row)\n    this.signal({ _tag: "Ready"'
  },
  {
    fault: "a claim that is renewed still ends with its first lease",
    breaks: "lostWorkersLoseTheirJobs",
    file: "durable/store/Core.ts",
    search: "        this.hold(row, at)\n        if (row.cancelReason !== undefined) cancel.push",
    replace: "        if (row.cancelReason !== undefined) cancel.push"
  },
  {
    fault: "leases are measured by the wall clock",
    breaks: "lostWorkersLoseTheirJobs",
    file: "durable/store/Service.ts",
    search: "monotonicMillis: Monotonic.millisUnsafe(clock)",
    replace: "monotonicMillis: clock.currentTimeMillisUnsafe()"
  },
  {
    fault: "a job that ends its workers is tried for ever",
    breaks: "lostWorkersLoseTheirJobs",
    file: "durable/store/Transitions.ts",
    search: "if (row.lost >= maxLost)",
    replace: "if (row.lost > maxLost)"
  },
  {
    fault: "the last job of a key goes first",
    breaks: "whoeverIsDueGoesNext",
    file: "durable/store/MemoryTable.ts",
    search: "a.place === b.place ? a.position < b.position",
    replace: "a.place === b.place ? a.position > b.position"
  },
  {
    fault: "a key that was served keeps its turn",
    breaks: "whoeverIsDueGoesNext",
    file: "durable/store/Lanes.ts",
    search: "    lane.turn = turn + 1\n",
    replace: "    lane.turn = turn\n"
  },
  {
    fault: "a key whose jobs have all been started is forgotten at once",
    breaks: "whoeverIsDueGoesNext",
    file: "durable/store/Lanes.ts",
    search: "if (lane.running === 0 && this.isQuits(lane))",
    replace: "if (lane.running === 0)"
  },
  {
    fault: "reading on from an event gives it again",
    breaks: "eventsHaveNoGaps",
    file: "durable/store/MemoryTable.ts",
    search: "log.slice(Math.max(0, after))",
    replace: "log.slice(Math.max(0, after - 1))"
  },
  {
    fault: "giving a job back is no event",
    breaks: "changesHaveEvents",
    file: "durable/store/Transitions.ts",
    search: `this.waitAgain(row, "Released", now)`,
    replace: `this.waitAgain(row, undefined, now)`
  },
  {
    fault: "progress of an attempt stays for the next one",
    breaks: "progressIsOfItsAttempt",
    file: "durable/store/Transitions.ts",
    search: "    row.startedAtMillis = now.wallMillis\n    row.progress = undefined\n",
    replace: "    row.startedAtMillis = now.wallMillis\n"
  },
  {
    fault: "a step that is written again has the new value",
    breaks: "stepsAreWrittenOnce",
    file: "durable/store/MemoryTable.ts",
    search: "if (done.has(name)) return false\n",
    replace: ""
  },
  {
    fault: "texts are read and written again as JSON",
    breaks: "textsComeBack",
    file: "durable/store/Core.ts",
    search: "claims.push({ job: jobOf(row), payload: row.payload,",
    replace: "claims.push({ job: jobOf(row), payload: JSON.stringify(JSON.parse(row.payload)),"
  },
  {
    fault: "a page begins with the last job of the one before",
    breaks: "listsAreWhatTheyMean",
    file: "durable/store/MemoryTable.ts",
    search: "row.position < before &&",
    replace: "row.position <= before &&"
  },
  {
    fault: "a number and a text are the same fact",
    breaks: "listsAreWhatTheyMean",
    file: "durable/store/Matches.ts",
    search: "row.metadata[fact] === value",
    replace: "String(row.metadata[fact]) === String(value)"
  },
  {
    fault: "a file that is opened leaves running what nobody runs",
    breaks: "lostWorkersLoseTheirJobs",
    file: "durable/sqlite/Engine.ts",
    search: "this.transact(() => this.core.recover(at))",
    replace: "this.transact(() => {})"
  },
  {
    fault: "how many jobs have ended is forgotten when the file is closed",
    breaks: "onlyTheOldAreDropped",
    file: "durable/sqlite/Engine.ts",
    search: "      this.table.flush()\n",
    replace: ""
  },
  {
    fault: "every other request is acknowledged although its transaction is taken back",
    breaks: "acknowledgedJobsAreThere",
    file: "durable/sqlite/Engine.ts",
    search: `this.database.exec("COMMIT")`,
    replace: `this.database.exec(this.table.ledger.ended > 0 ? "ROLLBACK" : "COMMIT")`
  },
  {
    fault: "lone surrogates are written as they are",
    breaks: "oneJobForOneKey",
    file: "durable/sqlite/Columns.ts",
    search: `text.startsWith('"') || !text.isWellFormed()`,
    replace: `text.startsWith('"')`
  },
  {
    fault: "a text in quotes loses them",
    breaks: "textsComeBack",
    file: "durable/sqlite/Columns.ts",
    search: `text.startsWith('"') || !text.isWellFormed()`,
    replace: `!text.isWellFormed()`
  },
  {
    fault: "reading on from an event in a file gives it again",
    breaks: "eventsHaveNoGaps",
    file: "durable/sqlite/SqliteTable.ts",
    search: "sequence > ? ORDER BY sequence",
    replace: "sequence >= ? ORDER BY sequence"
  },
  {
    fault: "a step that is written again in a file has the new value",
    breaks: "stepsAreWrittenOnce",
    file: "durable/sqlite/SqliteTable.ts",
    search: "INSERT INTO step (job, name, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
    replace: "INSERT OR REPLACE INTO step (job, name, value) VALUES (?, ?, ?)"
  },
  {
    fault: "the oldest is the one that was submitted first",
    breaks: "onlyTheOldAreDropped",
    file: "durable/sqlite/SqliteTable.ts",
    search: "WHERE state >= 2 ORDER BY ended, position LIMIT 1",
    replace: "WHERE state >= 2 ORDER BY position LIMIT 1"
  },
  {
    fault: "a list of a fact has jobs with another value of it",
    breaks: "listsAreWhatTheyMean",
    file: "durable/sqlite/Conditions.ts",
    search: "values.push(encode(fact), JSON.stringify(value))",
    replace: `values.push(encode(fact), JSON.stringify(value).replaceAll('"', ""))`
  },
  {
    fault: "of a name and key the last one goes first",
    breaks: "whoeverIsDueGoesNext",
    file: "durable/sqlite/SqliteTable.ts",
    search: "ORDER BY place, position LIMIT 1",
    replace: "ORDER BY place, position DESC LIMIT 1"
  }
]
