/**
 * Runs what a transition brings about in turns of its own, when the transition is done.
 */
import { Context, type Duration, Effect, type Fiber, Scheduler } from "effect"
import * as Uncaught from "../../core/Uncaught.ts"

export class Turns {
  private readonly context: Context.Context<never>
  private readonly dispatcher: Scheduler.SchedulerDispatcher

  constructor(context: Context.Context<never>) {
    this.context = context
    this.dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
  }

  /** Runs a task soon. One that throws would take those with it that are due in the same turn: it is caught. */
  readonly soon = (task: () => void): void => this.dispatcher.scheduleTask(() => Uncaught.run(task), 0)

  /** Runs a task when a time has passed, unless the fiber that waits for that is interrupted. */
  readonly after = (duration: Duration.Duration, task: () => void): Fiber.Fiber<void> =>
    Effect.runForkWith(this.context)(Effect.andThen(Effect.sleep(duration), Effect.sync(task)))

  /** Calls listeners soon, each whatever the others do. */
  wake(listeners: Iterable<() => void> | undefined): void {
    if (listeners !== undefined) this.soon(() => Uncaught.runAll(listeners))
  }
}
