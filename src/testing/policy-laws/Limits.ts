/**
 * Draws the limits of rate limiters, and says what they allow.
 */
import { Duration } from "effect"
import * as RateLimit from "../../policy/RateLimit.ts"
import type { Chance } from "../seed/Chance.ts"
import type { Allows, Rate } from "./Law.ts"
import type { Sharing } from "./Stores.ts"

export interface Limits extends Omit<RateLimit.Options, "estimate"> {
  /** What each call is estimated to need. Default: as the policy estimates it. */
  readonly need?: { readonly inputTokens: number; readonly outputTokens: number } | undefined
}

const need = { inputTokens: 40, outputTokens: 60 } as const

// No call needs more than twice of what a window allows, which would be refused for ever.
export const draw = (chance: Chance): Limits => ({
  ...(chance.onceIn(2) ? { requests: { limit: 1 + chance.below(5), window: chance.oneOf([500, 10_000]) } } : {}),
  ...(chance.onceIn(2)
    ? chance.oneOf<Limits>([
        { need, tokens: { limit: 60, window: 500 } },
        { need, tokens: { limit: 50, window: 10_000 } },
        { need, inputTokens: { limit: 20, window: 10_000 } },
        { need, outputTokens: { limit: 200, window: 1_000 } },
        { tokens: { limit: 2_000, window: 10_000 }, outputTokens: { limit: 600, window: 10_000 } }
      ])
    : {}),
  ...(chance.onceIn(4) ? { burst: 1 } : {}),
  ...(chance.onceIn(3) ? { maxWaiting: chance.below(3) } : {}),
  ...(chance.onceIn(4) ? { maxWait: chance.oneOf([500, 15_000]) } : {}),
  ...(chance.onceIn(3) ? { perTenant: true, ...(chance.onceIn(2) ? { maxKeys: 2 } : {}) } : {})
})

export const optionsOf = ({ need, ...options }: Limits): RateLimit.Options =>
  need === undefined ? options : { ...options, estimate: () => need }

/** The least that an answer counts as, once it is there: models say that it took so much. */
const least = { tokens: 15, inputTokens: 10, outputTokens: 5 } as const

interface Where {
  readonly isLast: boolean
}

export const allows = (limits: Limits, { isLast }: Where): Allows => {
  // One more is shared by those for whom there is no room.
  const keys = { keys: { RateLimit: (limits.maxKeys ?? RateLimit.defaults.maxKeys) + 1 } }
  if (!isLast) return keys
  const rates = [...ofRequests(limits), ...ofTokens(limits)]
  return limits.perTenant === true
    ? { ...keys, rates: rates.map((rate) => ({ ...rate, perTenant: true })) }
    : { ...keys, paced: true, rates }
}

/** What several processes with one store allow together, when it answers. */
export const allowsShared = (limits: Limits, { lies, processes = 1, silent }: Sharing, place: Where): Allows => {
  const { keys, paced, rates } = allows(limits, place)
  const isOne = processes === 1
  // What is given back to a store may be more than there is room for, for a moment.
  const isHeard = silent === undefined && lies === undefined
  const together = (isHeard ? (rates ?? []) : []).flatMap((rate) =>
    rate.ofAnswers === true ? [] : [{ ...rate, burst: rate.burst + 1 }]
  )
  return {
    tellsBehind: true,
    keys,
    ...(paced === true && isOne ? { paced } : {}),
    ...(rates === undefined ? {} : { rates: isOne ? rates : together })
  }
}

const ofRequests = ({ burst, requests }: Limits): ReadonlyArray<Rate> =>
  requests === undefined ? [] : [{ ...rateOf(requests), burst: burst ?? requests.limit }]

const ofTokens = (limits: Limits): ReadonlyArray<Rate> =>
  (["tokens", "inputTokens", "outputTokens"] as const).flatMap((dimension) => {
    const limit = limits[dimension]
    if (limit === undefined) return []
    const { burst, perMilli } = rateOf(limit)
    // One more may go when anything is there, and leave a debt.
    return [{ burst: 1 + burst / least[dimension], perMilli: perMilli / least[dimension], ofAnswers: true }]
  })

const rateOf = ({ limit, window }: RateLimit.Limit): Rate => ({
  burst: limit,
  perMilli: limit / Duration.toMillis(window)
})
