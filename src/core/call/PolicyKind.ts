/**
 * Marks what a policy is, so that a place for one kind does not take another: a retry where a time limit belongs compiles
 * no more than a text where a number belongs.
 */
import type { Policy } from "./ModelProvider.ts"

const key = "~holdfast/PolicyKind"

/** A policy of a kind, as its constructor makes it. */
export type Of<Kind extends string, R = never> = Policy<R> & { readonly [key]: Kind }

/** A policy of an application's own, which is of no kind. */
export type Own<R = never> = Policy<R> & { readonly [key]?: undefined }

/** Marks a policy that was just made. */
export const of = <Kind extends string, R>(kind: Kind, policy: Policy<R>): Of<Kind, R> =>
  Object.assign(policy, { [key]: kind } as const)

/** The kind of a policy; none of one of an application's own. */
export const kindOf = (policy: object): unknown => (key in policy ? policy[key] : undefined)
