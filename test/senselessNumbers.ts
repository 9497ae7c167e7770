/** Says which of the senseless numbers an option takes all the same, by its type and its name. */
import type { PublicOption } from "./publicOptions.ts"

/** Options by their names, which stand in a text. */
const named = (names: string): RegExp => new RegExp(`[ .](${names.trim().split(/\s+/).join("|")})$`)

// What no number makes sense for but those in between, or a few.
const nothing = [named("initial quantile samples warmUp margin"), /^CircuitBreaker\..* ratio$/]

const counts0 = named(`
  maxWaiting topK remember after times capacity maxRefreshes maxEntryBytes maxSteps fiber operation width offset limit
  maxPending retain retainBytes retainResults keep retries perSecond minPerSecond tokensPerSecond temperature tokens money
  maxCost maxTextBytes before count characters version
`)
const times0 = named(`
  unusedFor delay settle stagger staleFor base jitter patience whenFull cap limit maxRetryAfter deadline interruptLimit
  stopDeadline age
`)
const from0 = [counts0, times0, named("topP maxShare maxEjected priority \\w+Penalty seed")].concat(
  /^ResponseCache\..* maxBytes$/,
  /^RetryBudget\..* ratio$/,
  /^RateLimit\..* maxWait$/,
  /^FaultyServer\..* retryAfter$/,
  /^(Client\.waitAll|Job\.result) timeout$/
)

const negative = [named("priority \\w+Penalty seed")]

const halves = [
  named("perSecond minPerSecond tokensPerSecond temperature tokens money maxCost tolerance"),
  named("burst requestsPerMinute tokensPerMinute \\w+Penalty priority"),
  /^RetryBudget\..* ratio$/
]

const large = halves.concat(named("maxOpen maxEject"))

/** What is no whole number of a size that can be counted to. */
const withoutWhole = [named("topP maxShare maxEjected")]

const endless = [
  named("patience whenFull maxWait cap maxRetryAfter deadline interruptLimit stopDeadline"),
  named("timeout progressEvery retainFor retainResultsFor stuckAfter upkeepEvery"),
  named("attempt firstToken headers idle"),
  /^(Client|Job|Supervisor|DurableJob)\..* limit$/,
  /^RateLimit\..* burst$/,
  /^SpendBudget\..* (money|tokens)$/
]

// Times of the promise room, which are texts or numbers.
const ofPromises = /^(Client|DefinedJob|Job|JobTools)\.\S+ (timeout|whenFull|jitter|deadline|interruptLimit)$/

/** Those of the senseless numbers that make sense for an option whose type has numbers. */
export const takes = ({ has, name, of }: PublicOption): ReadonlyArray<string> => {
  const option = `${of} ${name}`
  const is = (patterns: ReadonlyArray<RegExp>) => patterns.some((pattern) => pattern.test(option))
  if (!has.has("numbers") || is(nothing)) return []
  const isTime = has.has("lists") || ofPromises.test(option)
  return [
    ...(is(from0) ? ["0", "-0"] : []),
    ...(is(negative) ? ["-1"] : []),
    ...(is(halves) || (isTime && !is([named("maxOpen maxEject")])) ? ["1.5"] : []),
    ...(is(withoutWhole) ? [] : ["2^31"]),
    ...((isTime || is(large)) && !is([named("priority")]) ? ["2^53+1"] : []),
    ...(is(endless) ? ["Infinity"] : [])
  ]
}
