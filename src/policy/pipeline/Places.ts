/**
 * Says what may stand in a place of the pipeline, and refuses the rest.
 */
import { Predicate } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"
import * as PolicyKind from "../../core/call/PolicyKind.ts"
import type { Policy } from "../../core/call/ModelProvider.ts"

/** Options, a policy of this kind, a policy of an application's own, or nothing, with `false`. */
export type Place<Options, Kind extends string, R = never> =
  | Options
  | PolicyKind.Of<Kind, R>
  | PolicyKind.Own<R>
  | false

export const check = OptionCheck.of("Pipeline")

/** What a place is for. */
export interface Described<Options, Kind extends string> {
  readonly name: string
  /** The kinds of policies that fit. */
  readonly kinds: ReadonlyArray<Kind>
  readonly expect?: ((name: string, options: Options) => unknown) | undefined
}

/** What stands in a place: nothing, a policy, or options that are to be made one. */
export type Chosen<Options, R> =
  | { readonly is: "nothing" }
  | { readonly is: "policy"; readonly policy: Policy<R> }
  | { readonly is: "options"; readonly options: Options }

/** Reads a place, in which stands `otherwise` when nothing is said. */
export const read = <Options, Kind extends string, R>(
  { expect = check.record, kinds, name }: Described<Options, Kind>,
  given: Place<Options, Kind, R> | undefined,
  otherwise: Options | false
): Chosen<Options, R> => {
  const chosen = given ?? otherwise
  if (chosen === false) return { is: "nothing" }
  if (isPolicy<R>(chosen)) {
    const kind = PolicyKind.kindOf(chosen)
    if (kind !== undefined && !kinds.some((each) => each === kind)) {
      check.reject(name, `options, ${kinds.join(" or ")}, or a policy of your own`, kind)
    }
    return { is: "policy", policy: chosen }
  }
  const options = chosen as Options // What is left of a place without its policies, which are functions.
  expect(name, options)
  return { is: "options", options }
}

/** What stands in a place that takes, besides, what was made with its policy in it: `SpendBudget.make`, `ResponseCache.make`. */
export const unmade = <Given, Made extends Policy<never>>(
  given: Given | { readonly policy: Made } | undefined
): Given | Made | undefined => (isMade<Given, Made>(given) ? given.policy : given)

const isMade = <Given, Made>(
  given: Given | { readonly policy: Made } | undefined
): given is { readonly policy: Made } => Predicate.hasProperty(given, "policy") && isPolicy(given.policy)

/** The policy of a place, if there is one. */
export const policies = <Options, Kind extends string, R>(
  described: Described<Options, Kind>,
  given: Place<Options, Kind, R> | undefined,
  otherwise: Options | false,
  make: (options: Options) => Policy<R>
): ReadonlyArray<Policy<R>> => {
  const chosen = read(described, given, otherwise)
  if (chosen.is === "nothing") return []
  return [chosen.is === "policy" ? chosen.policy : make(chosen.options)]
}

// Options are plain values or objects, never functions.
const isPolicy = <R>(chosen: unknown): chosen is Policy<R> => typeof chosen === "function"
