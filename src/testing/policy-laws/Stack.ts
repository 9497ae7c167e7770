/**
 * Describes stacks of policies as plain data: what can be made from a seed, printed, made smaller and built again.
 */
import { Effect, type Scope } from "effect"
import * as Model from "../../model/Model.ts"
import type { ModelProvider } from "../../core/call/ModelProvider.ts"
import * as ProviderPool from "../../provider/ProviderPool.ts"
import type { Chance } from "../seed/Chance.ts"
import { type Allows, bounds, millis } from "./Law.ts"
import { type Kind, kinds } from "./Kinds.ts"
import type { Layer, Plan } from "./Program.ts"

/** What is put around the first model of a program; the others are for policies that ask more than one. */
export interface Stack {
  readonly build: (
    model: ModelProvider,
    others: ReadonlyArray<ModelProvider>
  ) => Effect.Effect<ModelProvider, never, Scope.Scope>
  /** How many others it may ask. */
  readonly others: number
  readonly allows: Allows
}

const names = Object.keys(kinds)
const stackable = names.filter((name) => kinds[name]?.alone !== true)

const kindOf = (layer: Layer): Kind<object> => {
  const found = kinds[layer.is]
  if (found === undefined) throw new RangeError(`a stack's policy must be one of ${names.join(", ")}, not ${layer.is}`)
  return found
}

/** Draws a policy of its own, each kind in turn. */
export const single = (index: number, chance: Chance): Plan => ({
  policies: [draw(names[index % names.length] ?? "", chance)]
})

/** Draws a stack of two to six policies, in any order that is not plainly wrong. */
export const random = (chance: Chance): Plan => {
  const policies = Array.from({ length: 2 + chance.below(5) }, () =>
    draw(stackable[chance.below(stackable.length)] ?? "", chance)
  )
  return { policies: sorted(policies), ...(chance.onceIn(6) ? { pool: true } : {}) }
}

const draw = (is: string, chance: Chance): Layer => ({ is, with: kinds[is]?.draw(chance) ?? {} })

/** Moves what has to be outside of further attempts to just before the first policy that makes some. */
const sorted = (policies: ReadonlyArray<Layer>): ReadonlyArray<Layer> => {
  const first = policies.findIndex((layer) => kindOf(layer).extra !== undefined)
  if (first < 0) return policies
  const late = policies.filter((layer, index) => index > first && kindOf(layer).outside === true)
  return [...policies.slice(0, first), ...late, ...policies.slice(first).filter((layer) => !late.includes(layer))]
}

/** Makes the stack that is described. */
export const of = (plan: Plan): Stack => {
  const counts = plan.policies.map((layer) => kindOf(layer).others?.(layer.with) ?? 0)
  const others = counts.reduce((sum, count) => sum + count, plan.pool === true ? 1 : 0)
  return {
    others,
    allows: allowsOf(plan),
    build: (model, models) =>
      Effect.gen(function* () {
        let taken = plan.pool === true ? 1 : 0
        const policies = plan.policies.map((layer, index) =>
          kindOf(layer).make(layer.with, models.slice(taken, (taken += counts[index] ?? 0)))
        )
        const [second = model] = models
        const provider = plan.pool === true ? yield* ProviderPool.make({ providers: { model, second } }) : model
        return yield* Model.compose({ provider, policies })
      })
  }
}

const allowsOf = ({ policies, pool }: Plan): Allows => {
  const allows: { -readonly [Name in keyof Allows]: Allows[Name] } = {}
  let attempts = 1
  let maxAttempts = Infinity
  let budget: Allows["retries"]
  let isTimed = true
  for (const [index, layer] of policies.entries()) {
    const described = kindOf(layer)
    const inside = policies.slice(index + 1)
    const inner = inside.map(kindOf)
    const shares = inner.some((each) => each.shares === true)
    const isLast = inner.length === 0 && pool !== true
    const isAlone = isLast && policies.length === 1
    const own = described.allows?.(layer.with, { shares, isLast, isAlone }) ?? {}
    attempts += described.extra?.(layer.with) ?? 0
    // The outermost budget is the call's.
    if (own.retries !== undefined && budget === undefined) {
      budget = own.retries
      maxAttempts = own.attempts ?? Infinity
    }
    if (own.overall !== undefined && isTimed) {
      const late = inside.reduce((sum, each) => sum + (kindOf(each).lateBy?.(each.with) ?? 0), 0)
      allows.overall = Math.min(millis(allows.overall), millis(own.overall) + late)
    }
    if (own.attempt !== undefined) allows.attempt = Math.min(millis(allows.attempt), millis(own.attempt))
    if (own.silence !== undefined) allows.silence = Math.min(millis(allows.silence), millis(own.silence))
    // Who is innermost is one.
    if (own.paced === true) allows.paced = true
    if (own.rates !== undefined) allows.rates = own.rates
    if (own.tokensPerSecond !== undefined) allows.tokensPerSecond = own.tokensPerSecond
    if (own.tellsBehind === true) allows.tellsBehind = true
    if (own.closesBehind === true) allows.closesBehind = true
    if (own.concurrency !== undefined) {
      const [before, now] = [bounds(allows.concurrency), bounds(own.concurrency)]
      allows.concurrency = { atLeast: now.atLeast, atMost: Math.min(before.atMost, now.atMost) }
    }
    if (own.everywhere !== undefined) allows.everywhere = own.everywhere
    for (const [name, most] of Object.entries(own.keys ?? {})) {
      allows.keys = { ...allows.keys, [name]: Math.max(allows.keys?.[name] ?? 0, most) }
    }
    if (described.takesTime === true) isTimed = false
  }
  return {
    ...allows,
    attempts: Math.min(attempts, maxAttempts),
    ...(pool === true || budget === undefined ? {} : { retries: budget })
  }
}
