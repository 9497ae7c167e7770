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
    file: "lifecycle/Lifecycle.ts",
    search: "        record.fiber?.interruptUnsafe()\n      })\n",
    replace:
      "        fiber?.interruptUnsafe()\n      })\n      const { fiber } = record\n      this.end(record, Exit.interrupt())\n"
  },
  {
    fault: "a job that times out counts as cancelled",
    breaks: "oneTerminalState",
    file: "records/Outcome.ts",
    search: `new Late("failed", true, () => withReason(job, () => new TimedOut`,
    replace: `new Late("cancelled", true, () => withReason(job, () => new TimedOut`
  },
  {
    fault: "closing does not wait for the jobs it interrupts",
    breaks: "closingEndsEverything",
    file: "operations/Closing.ts",
    search: "StuckWarning.during(ended, stuckAfterMillis, () => whoKeepsIt(lifecycle, look())),",
    replace: "Effect.void,"
  },
  {
    fault: "the timer of a job's time limit outlives the job",
    breaks: "closingEndsEverything",
    file: "lifecycle/Lifecycle.ts",
    search: "    record.timer?.interruptUnsafe()\n",
    replace: ""
  },
  {
    fault: "one job more than allowed may run",
    breaks: "neverMoreThanTheLimit",
    file: "lifecycle/Admission.ts",
    search: "return this.taken < this.limits.concurrency && this.interruptions === 0",
    replace: "return this.taken <= this.limits.concurrency && this.interruptions === 0"
  },
  {
    fault: "a job that lent its slot goes on although its key is at its limit",
    breaks: "neverMoreThanTheLimit",
    file: "../core/queue/FairQueue.ts",
    search: "    if (!this.mayRun(key)) return false\n",
    replace: ""
  },
  {
    fault: "a job's own jobs are nobody's, unless they say whose",
    breaks: "neverMoreThanTheLimit",
    file: "operations/Submit.ts",
    search: "options.key ?? parent?.key ??",
    replace: "options.key ??"
  },
  {
    fault: "a job that is handed over has its submitter's key",
    breaks: "stopsWaitForTheWork",
    file: "operations/Submit.ts",
    search: "options.key ?? parent?.key ??",
    replace: "options.key ?? current?.key ??"
  },
  {
    fault: "the slot is free as soon as a job is asked to end",
    breaks: "neverMoreThanTheLimit",
    file: "lifecycle/Lifecycle.ts",
    search: "    record.stop = stop\n",
    replace: "    record.stop = stop\n    this.admission.free(record)\n"
  },
  {
    fault: "cancelling returns before the job has ended",
    breaks: "stopsWaitForTheWork",
    file: "operations/Waiting.ts",
    search: "record.endedAtMillis !== undefined || current?.isWithin(record) === true",
    replace: "current !== record"
  },
  {
    fault: "a time limit passes at once",
    breaks: "stopsWaitForTheWork",
    file: "lifecycle/Turns.ts",
    search: "Effect.andThen(Effect.sleep(duration), Effect.sync(task))",
    replace: "Effect.andThen(Effect.yieldNow, Effect.sync(task))"
  },
  {
    fault: "the slot of a job is never given back when it fails",
    breaks: "stopsWaitForTheWork",
    file: "lifecycle/Lifecycle.ts",
    search: "    this.admission.free(record)\n    record.timer",
    replace: `    if (record.result?.state !== "failed") this.admission.free(record)\n    record.timer`
  },
  {
    fault: "a waiter looks first and subscribes a step later, so it may miss the end",
    breaks: "waitingTouchesNothing",
    file: "records/JobNews.ts",
    search: "    if (record.endedAtMillis !== undefined) return resume(Effect.void)\n",
    replace: ""
  },
  {
    fault: "giving up waiting cancels the job",
    breaks: "oneTerminalState",
    file: "Job.ts",
    search: "? Effect.fail(ErrorOf.job(recordOf(job), new StillRunning({ waited })))",
    replace: "? Effect.andThen(cancel(job), Effect.fail(ErrorOf.job(recordOf(job), new StillRunning({ waited }))))"
  },
  {
    fault: "a reader that asks for what came after event N is given N again",
    breaks: "eventsHaveNoGaps",
    file: "records/EventLog.ts",
    search: "let sequence = Math.max(oldest, position + 1)",
    replace: "let sequence = Math.max(oldest, position)"
  },
  {
    fault: "a slow reader is not told what it missed",
    breaks: "eventsHaveNoGaps",
    file: "records/EventLog.ts",
    search: "if (position + 1 < oldest) events.push",
    replace: "if (position < 0) events.push"
  },
  {
    fault: "a reader looks first and subscribes a step later, so it may never hear of the end",
    breaks: "closingEndsEverything",
    file: "records/EventLog.ts",
    search: "      if (isThere()) return resume(Effect.void)\n",
    replace: ""
  },
  {
    fault: "the events of a job are numbered from 0",
    breaks: "eventsHaveNoGaps",
    file: "records/EventLog.ts",
    search: "this.jobSequences[at] = ++subject.eventCount",
    replace: "this.jobSequences[at] = subject.eventCount++"
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
    file: "lifecycle/Lifecycle.ts",
    search: "    const children = Array.from(record.children ?? [])\n",
    replace: "    const children = Array.from(record.children ?? [])\n    if (children.length > 0) return undefined\n"
  },
  {
    fault: "the failure of the failure hook is swallowed",
    breaks: "noFailureIsSilent",
    file: "lifecycle/FailureHook.ts",
    search: `.emit(record, { _tag: "FailureHookFailed", cause: hookCause })`,
    replace: ""
  },
  {
    fault: "the failure hook is called for what it brought about itself",
    breaks: "noFailureIsSilent",
    file: "lifecycle/FailureHook.ts",
    search:
      'if (Context.get(context, Within).has(this)) return this.giveUp(waiting, "the job comes from a call of it")',
    replace: ""
  },
  {
    fault: "a failure that the failure hook brought about is passed over in silence",
    breaks: "noFailureIsSilent",
    file: "lifecycle/FailureHook.ts",
    search:
      'if (Context.get(context, Within).has(this)) return this.giveUp(waiting, "the job comes from a call of it")',
    replace: "if (Context.get(context, Within).has(this)) return"
  },
  {
    fault: "what waits for the round before it begins during a drain",
    breaks: "drainAccountsForAll",
    file: "lifecycle/Lifecycle.ts",
    search: '(this.refusal === "closed" || !isPartOfWork(parent))',
    replace: '(this.refusal === "closed" || parent === undefined)'
  },
  {
    fault: "idempotency keys are ignored",
    breaks: "oneJobPerKey",
    file: "lifecycle/Lifecycle.ts",
    search: "if (known !== undefined) return known\n",
    replace: ""
  },
  {
    fault: "an idempotency key joins the jobs of two keys",
    breaks: "oneJobPerKey",
    file: "records/IdempotencyKey.ts",
    search: "Key.of(tenant, name, key, idempotencyKey,",
    replace: "Key.of(tenant, name, idempotencyKey,"
  },
  {
    fault: "a monitor that is started twice is two monitors",
    breaks: "oneJobPerKey",
    file: "operations/Periodic.ts",
    search: "{ ...common, id, idempotencyKey }",
    replace: "{ ...common, id }"
  },
  {
    fault: "what has ended is taken for the monitor that is to be started",
    breaks: "oneJobPerKey",
    file: "operations/Periodic.ts",
    search: "lifecycle.table.forgetIdempotencyKey(key)",
    replace: "return key"
  },
  {
    fault: "a drain forgets the jobs that running jobs submit while it waits",
    breaks: "drainAccountsForAll",
    file: "lifecycle/Lifecycle.ts",
    search: "    this.watch.add(record)\n",
    replace: ""
  },
  {
    fault: "what waits is started during a drain",
    breaks: "drainAccountsForAll",
    file: "lifecycle/Lifecycle.ts",
    search: `if (record.state === "pending" && !mayStart) this.stop(`,
    replace: `if (record.state === "pending" && mayStart) this.stop(`
  },
  {
    fault: "a job does not wait for the end of its children",
    breaks: "childrenEndWithTheirParent",
    file: "lifecycle/Lifecycle.ts",
    search: "Effect.forEach(children, JobNews.end, { discard: true })",
    replace: "Effect.void"
  },
  {
    fault: "a job that waits for another keeps its slot",
    breaks: "childrenEndWithTheirParent",
    file: "lifecycle/Admission.ts",
    search: "    this.free(record)\n    this.returning.release(record)\n",
    replace: "    this.returning.release(record)\n"
  },
  {
    fault: "the supervisor reads the real clock",
    breaks: "sameSeedSameRun",
    file: "lifecycle/SupervisorTime.ts",
    search: "return Math.floor(Monotonic.millisUnsafe(this.clock) - this.madeAt + 1e-6)",
    replace: "return Math.floor(performance.now())"
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
    search: 'cancel(record, { reason: "its caller was interrupted" }),',
    replace: "Effect.void,"
  },
  {
    fault: "a job that waits for several takes its slot back after the first",
    breaks: "childrenEndWithTheirParent",
    file: "lifecycle/Admission.ts",
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
    file: "records/Oldest.ts",
    search: "count <= keep.count",
    replace: "count <= keep.count + 1"
  },
  {
    fault: "no record or result is too old",
    breaks: "theLatestAreKept",
    file: "records/Oldest.ts",
    search: "return nowMillis >= this.notBeforeMillis",
    replace: "return false"
  },
  {
    fault: "results are kept for as long as their records",
    breaks: "theLatestAreKept",
    file: "records/JobTable.ts",
    search: "while ((number = this.results?.takeBeyond(results, nowMillis, this.withResult.size)) !== undefined) {",
    replace: "while (nowMillis < 0 && (number = this.results?.takeBeyond(results, nowMillis)) !== undefined) {"
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
    file: "lifecycle/Lifecycle.ts",
    search: 'else if (result.state === "failed") this.rates.failed.add(now)',
    replace: 'else if (result.state === "failed") void [this.rates.failed.add(now), this.rates.succeeded.add(now)]'
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
    file: "lifecycle/SlotLending.ts",
    search: "if (needsSlots(job)) this.begin(waiter, 1)",
    replace: 'if (waiter.kind === "job" && needsSlots(job)) this.begin(waiter, 1)'
  },
  {
    fault: "a drain's deadline interrupts the jobs that it is made in",
    breaks: "oneTerminalState",
    file: "operations/Drain.ts",
    search: '() => lifecycle.stopAll("drained", look()),',
    replace: '() => lifecycle.stopAll("drained"),'
  },
  {
    fault: "a drain's deadline interrupts those who wait for the job that it is made in",
    breaks: "oneTerminalState",
    file: "lifecycle/Waiters.ts",
    search: "    for (const [waiter] of of(job)) found.add(waiter)\n",
    replace: ""
  },
  {
    fault: "what a logger throws ends the log of a failure",
    breaks: "noFailureIsSilent",
    file: "lifecycle/FailureLog.ts",
    search: 'record.supervision.emit(record, { _tag: "FailureLogFailed", cause: Cause.die(thrown) })',
    replace: "throw thrown"
  },
  {
    fault: "a periodic job is not told that it was refused, and sleeps until its next round",
    breaks: "drainAccountsForAll",
    file: "lifecycle/Lifecycle.ts",
    search: "    this.turns.soon(() => Deferred.doneUnsafe(this.refused, Effect.void))\n",
    replace: ""
  },
  {
    fault: "a newcomer overtakes those who wait for room",
    breaks: "whoeverWaitsForRoomGoesFirst",
    file: "lifecycle/RoomQueue.ts",
    search: "    return !this.line.isEmpty && (this.line.has(key) || this.nextFree !== undefined)\n",
    replace: "    return false\n"
  },
  {
    fault: "pausing holds nobody",
    breaks: "pausedJobsWait",
    file: "lifecycle/Pauses.ts",
    search: "    return this.jobs.has(record) || this.covers(record, record.parent)\n",
    replace: "    return false\n"
  },
  {
    fault: "resuming a name lets nobody go",
    breaks: "pausedJobsWait",
    file: "lifecycle/Pauses.ts",
    search: "    if (this.names.delete(name)) this.seeAll(name)\n",
    replace: "    this.names.delete(name)\n"
  },
  {
    fault: "a job that was resumed is not lined up again",
    breaks: "stopsWaitForTheWork",
    file: "lifecycle/Pauses.ts",
    search: "      this.line.lineUp(record)\n",
    replace: ""
  },
  {
    fault: "the job of an async function ends when that is told to, and not when it has",
    breaks: "oneTerminalState",
    file: "operations/PromiseWork.ts",
    search: "        Effect.promise(() => settled),\n",
    replace: "        Effect.succeed(Exit.succeed(undefined)),\n"
  },
  {
    fault: "what an async function runs belongs to nobody",
    breaks: "childrenEndWithTheirParent",
    file: "operations/PromiseWork.ts",
    search: "const fiber = Effect.runForkWith(AsyncContext.renew(this.context))(effect)",
    replace:
      "const fiber = Effect.runForkWith(AsyncContext.renew(Context.add(this.context, CurrentJob, undefined)))(effect)"
  },
  {
    fault: "retries are ignored",
    breaks: "retriesAreAsAsked",
    file: "lifecycle/JobFiber.ts",
    search: "retry === undefined ? effect : retrying(record, effect, retry)",
    replace: "effect"
  },
  {
    fault: "every failure becomes a success",
    breaks: "oneTerminalState",
    file: "records/Outcome.ts",
    search: `if (Exit.isSuccess(exit)) return { state: "completed", exit, isFailure: false }`,
    replace: `if (Exit.isSuccess(exit) || !Cause.hasInterrupts(exit.cause)) return { state: "completed", exit: Exit.void, isFailure: false }`
  },
  {
    fault: "time limits are ignored",
    breaks: "stopsWaitForTheWork",
    file: "lifecycle/Lifecycle.ts",
    search: "    if (record.timeout !== undefined) this.limit(record, record.timeout)\n",
    replace: ""
  },
  {
    fault: "age does not count between keys",
    breaks: "whoeverIsDueGoesNext",
    file: "../core/queue/FairQueue.ts",
    search: "new Heap(isBefore<Job>(agingMillis))",
    replace: "new Heap(isBefore<Job>(Infinity))"
  },
  {
    fault: "the wall clock decides what is too old, and who goes first",
    breaks: "theLatestAreKept",
    file: "lifecycle/SupervisorTime.ts",
    search: "return Math.floor(Monotonic.millisUnsafe(this.clock) - this.madeAt + 1e-6)",
    replace: "return this.clock.currentTimeMillisUnsafe()"
  },
  {
    fault: "a call that joins a waiting job by its key starts it without a slot",
    breaks: "neverMoreThanTheLimit",
    file: "operations/Submit.ts",
    search: 'if (record.kind === "call") lifecycle.beginCall(record)',
    replace: 'if (kind === "call") lifecycle.beginCall(record)'
  },
  {
    fault: "a hook that throws is handed the failure twice",
    breaks: "noFailureIsSilent",
    file: "lifecycle/FailureHook.ts",
    search: "const run = Effect.suspend(() => hook.run(SafeJson.withoutCause({ job, cause })))\n",
    replace:
      "const run = Effect.suspend(() => hook.run({ job, cause })).pipe(\n      Effect.retry({ times: 1 }),\n      Effect.catchDefect(() => hook.run({ job, cause }))\n    )\n"
  },
  {
    fault: "whoever gives up a wait goes on only when it has a slot again",
    breaks: "waitingTouchesNothing",
    file: "lifecycle/SlotLending.ts",
    search:
      'if (Exit.hasInterrupts(exit) || resuming === "at once") {\n          this.admission.exceed(waiter)\n          return exit\n        }\n        return Effect.flatMap(Effect.exit(restore(this.takeBack(waiter))), (back) => {',
    replace: "return Effect.flatMap(Effect.exit(this.takeBack(waiter)), (back) => {"
  },
  {
    fault: "whoever cancels a job from inside another goes on only when it has a slot again",
    breaks: "stopsWaitForTheWork",
    file: "lifecycle/SlotLending.ts",
    search: 'if (Exit.hasInterrupts(exit) || resuming === "at once") {',
    replace: "if (Exit.hasInterrupts(exit)) {"
  },
  {
    fault: "closing ends what waits, and then who runs",
    breaks: "endingAllFailsNobody",
    file: "lifecycle/Lifecycle.ts",
    search: '    if (because === "closed") this.stopAll("supervisor closed")\n',
    replace: '    if (because === "closed") this.turns.soon(() => this.stopAll("supervisor closed"))\n'
  },
  {
    fault: "who is to end is told that others did, and that nothing is accepted any more, before it is interrupted",
    breaks: "endingAllFailsNobody",
    file: "operations/Waiting.ts",
    search: "current?.stop === undefined || current.result !== undefined ? Effect.void : current.supervision.nextTurn",
    replace: "current === undefined ? Effect.void : Effect.void"
  },
  {
    fault: "work is tried again although somebody cancelled what it waited for",
    breaks: "retriesAreAsAsked",
    file: "lifecycle/JobFiber.ts",
    search: "Schedule.while(schedule, ({ input }) => !isCancelled(input))",
    replace: "schedule"
  },
  {
    fault: "where one more would have to wait, nobody is let into a free slot while more wait than may",
    breaks: "noSlotStaysFree",
    file: "lifecycle/Admission.ts",
    search: "return this.isFullOfWaiting && !(this.hasSlotLeft && this.line.mayStart(key))",
    replace:
      "const more = this.line.startable + (this.line.mayStart(key) ? 1 : 0)\n    return this.line.size + 1 - Math.min(this.freeSlots, more) > this.room"
  },
  {
    fault: "whoever waits for room waits until one more may wait, although its key may take a slot that is free",
    breaks: "noSlotStaysFree",
    file: "lifecycle/RoomQueue.ts",
    search: "return admission.hasSlotLeft ? this.line.firstWhere((key) => !admission.isFull(key)) : undefined",
    replace: "return undefined"
  },
  {
    fault: "who wants its slot back is not looked at before something else happens",
    breaks: "noSlotStaysFree",
    file: "lifecycle/SlotLending.ts",
    search: "      this.settleSoon()\n      return Effect.sync(withdraw)",
    replace: "      return Effect.sync(withdraw)"
  },
  {
    fault: "a slot that is left over goes to a newcomer of another key than those who wait for room",
    breaks: "whoeverWaitsForRoomGoesFirst",
    file: "lifecycle/RoomQueue.ts",
    search: "(this.line.has(key) || this.nextFree !== undefined)",
    replace: "(this.line.has(key) || (this.nextFree !== undefined && !this.admission.hasSlotLeft))"
  },
  {
    fault: "one more waits than may",
    breaks: "asManyWaitAsMay",
    file: "lifecycle/Admission.ts",
    search: "return Math.max(0, this.limits.maxPending - this.pauses.waiting)",
    replace: "return Math.max(0, this.limits.maxPending - this.pauses.waiting) + 1"
  },
  {
    fault: "jobs that are paused take up no room",
    breaks: "asManyWaitAsMay",
    file: "lifecycle/Admission.ts",
    search: "return Math.max(0, this.limits.maxPending - this.pauses.waiting)",
    replace: "return this.limits.maxPending"
  },
  {
    fault: "one fewer waits than may",
    breaks: "asManyWaitAsMay",
    file: "lifecycle/Admission.ts",
    search: "return Math.max(0, this.limits.maxPending - this.pauses.waiting)",
    replace: "return Math.max(0, this.limits.maxPending - this.pauses.waiting - 1)"
  },
  {
    fault: "a drain names as caller who had ended since it looked",
    breaks: "drainAccountsForAll",
    file: "operations/Drain.ts",
    search: "  const report = Effect.sync(() => Report.make(inOrder(watched), (record) => callers.has(record)))\n",
    replace: `  const report = Effect.sync(() => {
    const made = Report.make(inOrder(watched), (record) => callers.has(record))
    const ids = new Set(Array.from(callers, ({ id }) => id))
    return { ...made, jobs: made.jobs.map((job) => (ids.has(job.id) ? { ...job, outcome: "caller" as const } : job)) }
  })
`
  },
  {
    fault: "whenFull is ignored",
    breaks: "asManyWaitAsMay",
    file: "operations/Submit.ts",
    search: 'if (whenFull === undefined || whenFull === "refuse") return',
    replace: "if (lifecycle.isAccepting || true) return"
  },
  {
    fault: "the position of a snapshot is that of an event to come",
    breaks: "listsSayWhatIs",
    file: "Supervisor.ts",
    search: "position: lifecycle.events.position",
    replace: "position: lifecycle.events.position + 1"
  },
  {
    fault: "a list lacks the first job",
    breaks: "listsSayWhatIs",
    file: "Supervisor.ts",
    search: 'lifecycle.table.select("Supervisor.list", filter)',
    replace: 'lifecycle.table.select("Supervisor.list", filter).slice(1)'
  },
  {
    fault: "metadata is ignored",
    breaks: "listsSayWhatIs",
    file: "operations/Submit.ts",
    search: "options.metadata === undefined ? noMetadata : { ...options.metadata }",
    replace: "noMetadata"
  },
  {
    fault: "rounds do not queue",
    breaks: "roundsOverlapAsAsked",
    file: "operations/Periodic.ts",
    search: 'if (overlap === "queue" && queued < maxQueued) {',
    replace: "if (queued > maxQueued) {"
  },
  {
    fault: "rounds that are to be skipped queue",
    breaks: "roundsOverlapAsAsked",
    file: "operations/Periodic.ts",
    search: 'if (overlap === "queue" && queued < maxQueued) {',
    replace: "if (queued < maxQueued) {"
  },
  {
    fault: "prune drops nothing",
    breaks: "theLatestAreKept",
    file: "Supervisor.ts",
    search: "prune: Effect.sync(() => Upkeep.prune(lifecycle, settings)),",
    replace: "prune: Effect.void,"
  },
  {
    fault: "a round that has ended is seen to twice, and two that waited begin",
    breaks: "neverMoreThanTheLimit",
    file: "operations/Periodic.ts",
    search: "if (running !== ended || ended.isSeenTo) return",
    replace: "if (running !== ended) return"
  }
]
