/**
 * Waits within a job, and says when that began and ended: a job lends its slot meanwhile.
 */
import { Effect, Exit } from "effect"
import type { Failure } from "./Submission.ts"
import type { Unplaced } from "./Trace.ts"

/** What a wait came to: whether it was given up, and the error that it gave. */
export interface Waited {
  readonly isGivenUp: boolean
  readonly error?: Failure | undefined
}

interface Stage {
  readonly note: (note: Unplaced) => void
  readonly take: (note: Unplaced) => Effect.Effect<void>
}

/** Waits for something that says what it came to. */
export const waiting = (
  stage: Stage,
  wait: Effect.Effect<Waited>,
  job: string,
  call: string | undefined
): Effect.Effect<Waited> => {
  const ended = (isGivenUp: boolean) => stage.take({ _tag: "WaitEnded", job, isGivenUp })
  return Effect.acquireUseRelease(
    stage.take({ _tag: "WaitBegan", job, call }),
    () => wait,
    (_, exit) => ended(Exit.isFailure(exit) || exit.value.isGivenUp)
  )
}

/** Waits for so long, and is then interrupted. */
export const givingUp = (
  stage: Stage,
  wait: Effect.Effect<Waited>,
  job: string,
  call: string | undefined,
  after: number,
  called: Unplaced | undefined,
  left: Unplaced
): Effect.Effect<Waited> =>
  Effect.suspend(() => {
    let isLeft = false
    const leave = Effect.andThen(
      Effect.sleep(after),
      Effect.sync((): Waited => {
        isLeft = true
        if (called !== undefined) stage.note(called)
        return { isGivenUp: true }
      })
    )
    const whole = Effect.map(Effect.raceFirst(wait, leave), (waited) => {
      if (isLeft) stage.note(left)
      return isLeft ? { isGivenUp: true } : waited
    })
    return waiting(stage, whole, job, call)
  })
