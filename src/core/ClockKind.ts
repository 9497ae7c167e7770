/**
 * Tells a test's clock from one that goes by itself.
 */
import type { Clock } from "effect"

/**
 * True for a `TestClock`, which moves only when a test moves it. Its wall and its monotonic time go together, and its
 * lateness says nothing of the event loop: there is nothing to look after meanwhile, and a test that moves it by days
 * should not pass thousands of idle rounds.
 */
export const isMovedByHand = (clock: Clock.Clock): boolean => Object.hasOwn(clock, "adjust")
