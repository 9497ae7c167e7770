/**
 * Waits within a job, and says when that began and ended: a job lends its slot meanwhile.
 */
import { Effect, Exit } from "effect"
import type { Unplaced } from "./Trace.ts"

interface Stage {
  readonly note: (note: Unplaced) => void
  readonly take: (note: Unplaced) => Effect.Effect<void>
}

/** Waits for something that says whether it gave up, or nothing. */
export const waiting = (
  stage: Stage,
  wait: Effect.Effect<boolean | void>,
  job: string,
  call: string | undefined
): Effect.Effect<void> => {
  const ended = (isGivenUp: boolean) => stage.take({ _tag: "WaitEnded", job, isGivenUp })
  return Effect.asVoid(
    Effect.acquireUseRelease(
      stage.take({ _tag: "WaitBegan", job, call }),
      () => wait,
      (_, exit) => ended(Exit.isFailure(exit) || exit.value === true)
    )
  )
}

/** Waits for so long, and is then interrupted. */
export const givingUp = (
  stage: Stage,
  wait: Effect.Effect<boolean | void>,
  job: string,
  call: string | undefined,
  after: number,
  called: Unplaced | undefined,
  left: Unplaced
): Effect.Effect<void> =>
  Effect.suspend(() => {
    let isLeft = false
    const leave = Effect.andThen(
      Effect.sleep(after),
      Effect.sync(() => {
        isLeft = true
        if (called !== undefined) stage.note(called)
      })
    )
    const whole = Effect.map(Effect.raceFirst(wait, leave), (isGivenUp) => {
      if (isLeft) stage.note(left)
      return isLeft || isGivenUp === true
    })
    return waiting(stage, whole, job, call)
  })
