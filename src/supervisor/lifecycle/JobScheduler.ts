/**
 * Says when fibers get their turns: jobs go at the supervisor's pace, and not at their submitter's. Whoever submits
 * synchronously, or never yields, does not make its jobs do so.
 */
import { Context, type Fiber, References, Scheduler } from "effect"

export class JobScheduler {
  private readonly scheduler: Scheduler.Scheduler
  private readonly maxOpsBeforeYield: number
  private readonly preventYield: boolean

  /** The pace of who makes the supervisor. */
  constructor(context: Context.Context<never>) {
    this.scheduler = Context.get(context, Scheduler.Scheduler)
    this.maxOpsBeforeYield = Context.get(context, Scheduler.MaxOpsBeforeYield)
    this.preventYield = Context.get(context, Scheduler.PreventSchedulerYield)
  }

  /**
   * The context of a submitter, at this pace. The frames of functions that submitted are left out but for the last: jobs
   * that submit one another would keep ever more of them.
   */
  keep<R>({ cache, context: submitted }: Fiber.Fiber<unknown, unknown>): Context.Context<R> {
    // Nobody but the fiber's own effect knows what its context has.
    let context = submitted as Context.Context<R>
    const { maxOpsBeforeYield, preventYield, scheduler, stackFrame: frame } = cache
    if (scheduler !== this.scheduler) context = Context.add(context, Scheduler.Scheduler, this.scheduler)
    if (maxOpsBeforeYield !== this.maxOpsBeforeYield) {
      context = Context.add(context, Scheduler.MaxOpsBeforeYield, this.maxOpsBeforeYield)
    }
    if (preventYield !== this.preventYield) {
      context = Context.add(context, Scheduler.PreventSchedulerYield, this.preventYield)
    }
    if (frame?.parent === undefined) return context
    return Context.add(context, References.CurrentStackFrame, { ...frame, parent: undefined })
  }
}
