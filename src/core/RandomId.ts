/**
 * Makes ids that cannot be guessed and tell nothing: neither how many jobs there are, nor which came first.
 */
import { Context, Random } from "effect"

const system = Context.get(Context.empty(), Random.Random)

/**
 * The maker of ids in a context. They are cryptographically random, unless the context has a `Random` of its own, as that
 * of a seeded test: then they follow from it.
 */
export const maker = (context: Context.Context<never>): (() => string) => {
  const random = Context.get(context, Random.Random)
  if (random === system) return () => `job-${globalThis.crypto.randomUUID()}`
  const part = () => Math.floor(random.nextDoubleUnsafe() * 0x1_0000_0000)
  return () => `job-${Array.from({ length: 4 }, () => part().toString(16).padStart(8, "0")).join("")}`
}
