/**
 * Deliberate faults in the supervisor, each with the promise it breaks: what the laws must catch.
 */
export interface Mutant {
  /** What is wrong with it. */
  readonly fault: string
  /** The law that must notice. */
  readonly breaks: string
  /** A file, from src/supervisor, the text to replace there, which must be there exactly once, and what to put for it. */
  readonly file: string
  readonly search: string
  readonly replace: string
}

export const mutants: ReadonlyArray<Mutant> = [
  {
    fault: "a job that is asked to end is cancelled at once, while its work still runs",
    breaks: "oneTerminalState",
    file: "Lifecycle.ts",
    search: "this.schedule(() => record.fiber?.interruptUnsafe())",
    replace:
      "const { fiber } = record; this.schedule(() => fiber?.interruptUnsafe()); this.end(record, Exit.interrupt())"
  },
  {
    fault: "a job that times out counts as cancelled",
    breaks: "oneTerminalState",
    file: "records/Outcome.ts",
    search: `new Late("failed", true, () => withReason(job, new TimedOut`,
    replace: `new Late("cancelled", true, () => withReason(job, new TimedOut`
  },
  {
    fault: "closing does not wait for the jobs it interrupts",
    breaks: "closingEndsEverything",
    file: "Supervisor.ts",
    search: "return Effect.ensuring(\n      lifecycle.awaitIdle,",
    replace: "return Effect.ensuring(\n      Effect.void,"
  },
  {
    fault: "the timer of a job's time limit outlives the job",
    breaks: "closingEndsEverything",
    file: "Lifecycle.ts",
    search: "    record.timer?.interruptUnsafe()\n",
    replace: ""
  },
  {
    fault: "one job more than allowed may run",
    breaks: "neverMoreThanTheLimit",
    file: "Admission.ts",
    search: "while (this.taken < this.limits.concurrency)",
    replace: "while (this.taken <= this.limits.concurrency)"
  },
  {
    fault: "a job that lent its slot goes on although its key is at its limit",
    breaks: "neverMoreThanTheLimit",
    file: "../core/queue/FairQueue.ts",
    search: "    if (!this.mayRun(key)) return false\n",
    replace: ""
  },
  {
    fault: "the slot is free as soon as a job is asked to end",
    breaks: "neverMoreThanTheLimit",
    file: "Lifecycle.ts",
    search: "    record.stop = stop\n",
    replace: "    record.stop = stop\n    this.admission.free(record)\n"
  },
  {
    fault: "cancelling returns before the job has ended",
    breaks: "stopsWaitForTheWork",
    file: "Job.ts",
    search: "current?.isWithin(record) === true ? Effect.void",
    replace: "current !== record ? Effect.void"
  },
  {
    fault: "a time limit passes at once",
    breaks: "stopsWaitForTheWork",
    file: "Lifecycle.ts",
    search: "Effect.andThen(Effect.sleep(duration), Effect.sync(task))",
    replace: "Effect.andThen(Effect.yieldNow, Effect.sync(task))"
  },
  {
    fault: "the slot of a job is never given back when it fails",
    breaks: "stopsWaitForTheWork",
    file: "Lifecycle.ts",
    search: "    this.admission.free(record)\n    record.timer",
    replace: `    if (record.result?.state !== "failed") this.admission.free(record)\n    record.timer`
  },
  {
    fault: "a waiter looks first and subscribes a step later, so it may miss the end",
    breaks: "waitingTouchesNothing",
    file: "Lifecycle.ts",
    search: "      if (record.endedAtMillis !== undefined || record.progress !== seen) return resume(Effect.void)\n",
    replace: ""
  },
  {
    fault: "giving up waiting cancels the job",
    breaks: "oneTerminalState",
    file: "Job.ts",
    search: "orElse: () => Effect.fail(new JobError({ id: job.id, reason: new StillRunning({ waited }) }))",
    replace:
      "orElse: () => Effect.andThen(cancel(job), Effect.fail(new JobError({ id: job.id, reason: new StillRunning({ waited }) })))"
  },
  {
    fault: "a reader that asks for what came after event N is given N again",
    breaks: "eventsHaveNoGaps",
    file: "EventLog.ts",
    search: "let sequence = Math.max(oldest, position + 1)",
    replace: "let sequence = Math.max(oldest, position)"
  },
  {
    fault: "a slow reader is not told what it missed",
    breaks: "eventsHaveNoGaps",
    file: "EventLog.ts",
    search: "if (position + 1 < oldest) events.push",
    replace: "if (position < 0) events.push"
  },
  {
    fault: "a reader looks first and subscribes a step later, so it may never hear of the end",
    breaks: "closingEndsEverything",
    file: "EventLog.ts",
    search: "      if (this.closed || this.lastSequence > position) return resume(Effect.void)\n",
    replace: ""
  },
  {
    fault: "what a job reports last is lost when it ends at once",
    breaks: "eventsHaveNoGaps",
    file: "Job.ts",
    search: "if (latest !== undefined && latest !== seen)",
    replace: "if (latest !== undefined && latest !== seen && record.endedAtMillis === undefined)"
  },
  {
    fault: "the failure of a job that owns others is not reported",
    breaks: "noFailureIsSilent",
    file: "Lifecycle.ts",
    search: "    const children = Array.from(record.children ?? [])\n",
    replace: "    const children = Array.from(record.children ?? [])\n    if (children.length > 0) return undefined\n"
  },
  {
    fault: "the failure of the failure hook is swallowed",
    breaks: "noFailureIsSilent",
    file: "FailureHook.ts",
    search: `.emit(record, { _tag: "FailureHookFailed", cause: hookCause })`,
    replace: ""
  },
  {
    fault: "a drain forgets the jobs that running jobs submit while it waits",
    breaks: "drainAccountsForAll",
    file: "Lifecycle.ts",
    search: "    this.watched?.add(record)\n",
    replace: ""
  },
  {
    fault: "what waits is started during a drain",
    breaks: "drainAccountsForAll",
    file: "Lifecycle.ts",
    search: `      if (record.state === "pending") this.stop(record, { _tag: "Cancel", reason: because })\n`,
    replace: ""
  },
  {
    fault: "a job does not wait for the end of its children",
    breaks: "childrenEndWithTheirParent",
    file: "Lifecycle.ts",
    search: "Effect.forEach(children, (child) => this.awaitEnd(child), { discard: true })",
    replace: "Effect.void"
  },
  {
    fault: "a job that waits for another keeps its slot",
    breaks: "childrenEndWithTheirParent",
    file: "Lifecycle.ts",
    search: "  private lendSlot(record: JobRecord): void {\n    this.admission.free(record)\n",
    replace: "  private lendSlot(record: JobRecord): void {\n"
  },
  {
    fault: "the supervisor reads the real clock",
    breaks: "sameSeedSameRun",
    file: "Lifecycle.ts",
    search: "    return this.clock.currentTimeMillisUnsafe()",
    replace: "    return performance.now()"
  },
  {
    fault: "whoever leaves a shared run cancels it for the others",
    breaks: "oneTerminalState",
    file: "operations/Submit.ts",
    search: "record.runners === undefined || --record.runners > 0) return",
    replace: "record.runners === undefined) return"
  },
  {
    fault: "a run that joins what somebody submitted may cancel it",
    breaks: "oneTerminalState",
    file: "operations/Submit.ts",
    search: "if (record.runners === undefined || --record",
    replace: "record.runners ??= 1\n  if (--record"
  },
  {
    fault: "a job goes on when the last of those who run it leaves",
    breaks: "stopsWaitForTheWork",
    file: "operations/Submit.ts",
    search: 'return cancel(record, { reason: "its caller was interrupted" })',
    replace: "return Effect.void"
  },
  {
    fault: "a job that waits for several takes its slot back after the first",
    breaks: "childrenEndWithTheirParent",
    file: "Admission.ts",
    search: "!hasSlot && waits === 0 &&",
    replace: "!hasSlot && waits < Infinity &&"
  },
  {
    fault: "priority counts for nothing",
    breaks: "whoeverIsDueGoesNext",
    file: "records/JobRecord.ts",
    search: "submittedAtMillis - submission.priority * agingMillis",
    replace: "submittedAtMillis"
  },
  {
    fault: "age counts for nothing",
    breaks: "whoeverIsDueGoesNext",
    file: "records/JobRecord.ts",
    search: "submission.priority * agingMillis",
    replace: "submission.priority * 1e9"
  },
  {
    fault: "of equals the last to come goes first",
    breaks: "whoeverIsDueGoesNext",
    file: "../core/queue/FairQueue.ts",
    search: "a.order < b.order :",
    replace: "a.order > b.order :"
  },
  {
    fault: "a child goes to the end of the line",
    breaks: "whoeverIsDueGoesNext",
    file: "records/JobRecord.ts",
    search: "parent === undefined ? place : Math.min(place, parent.place)",
    replace: "place"
  },
  {
    fault: "keys take no turns",
    breaks: "whoeverIsDueGoesNext",
    file: "../core/queue/FairQueue.ts",
    search: "    key.turn++\n",
    replace: ""
  },
  {
    fault: "one record more than allowed is kept",
    breaks: "theLatestAreKept",
    file: "records/JobTable.ts",
    search: "this.rest.length < count",
    replace: "this.rest.length <= count"
  },
  {
    fault: "no record or result is too old",
    breaks: "theLatestAreKept",
    file: "records/JobTable.ts",
    search: "(this.endedAtMillis(first) ?? 0) + forMillis > nowMillis",
    replace: "forMillis > 0"
  },
  {
    fault: "results are kept for as long as their records",
    breaks: "theLatestAreKept",
    file: "records/JobTable.ts",
    search: "if (this.known.get(jobId) === old) ",
    replace: "if (this.known.get(jobId) !== old) "
  },
  {
    fault: "what waits longest is what came last",
    breaks: "healthSaysWhatIs",
    file: "operations/Health.ts",
    search: ".at(0)",
    replace: ".at(-1)"
  },
  {
    fault: "nothing is ever stuck",
    breaks: "healthSaysWhatIs",
    file: "operations/Health.ts",
    search: "now - stoppedAtMillis >= settings.stuckAfterMillis",
    replace: "now < stoppedAtMillis"
  },
  {
    fault: "a queue that is full does not lower the score",
    breaks: "healthSaysWhatIs",
    file: "operations/Health.ts",
    search: "        20 * (health.maxPending === 0 ? 0 : Math.min(1, health.waiting / health.maxPending)) -\n",
    replace: ""
  },
  {
    fault: "a failure counts as a success too",
    breaks: "healthSaysWhatIs",
    file: "Lifecycle.ts",
    search: "      this.rates.failed.add(now)\n",
    replace: "      this.rates.failed.add(now)\n      this.rates.succeeded.add(now)\n"
  },
  {
    fault: "slots that are lent count as taken",
    breaks: "healthSaysWhatIs",
    file: "operations/Health.ts",
    search: "running: lifecycle.admission.running",
    replace: 'running: lifecycle.table.counts("job").running + lifecycle.table.counts("call").running'
  },
  {
    fault: "a call that waits for a job leaves those who wait for it their slots",
    breaks: "childrenEndWithTheirParent",
    file: "Lending.ts",
    search: "if (waiter === undefined) return wait\n",
    replace: 'if (waiter?.kind !== "job") return wait\n'
  }
]
