/**
 * Builds the key by which a job is joined: what is the same work for one tenant, or for one key, is none of another's business.
 */
import * as Key from "../../core/call/Key.ts"

export interface Parts {
  /** For whom it is; undefined for nobody in particular, which is no tenant. */
  readonly tenant: string | undefined
  /** The job's given name. */
  readonly name: string | undefined
  /** Who the job is for among those that take turns; empty for nobody. */
  readonly key: string
  /** What the submitter calls the work. */
  readonly idempotencyKey: string
  /** True for what repeats, which is no other work's result. Default false. */
  readonly isRepeated?: boolean
}

/** Different parts give different keys. */
export const of = ({ idempotencyKey, isRepeated = false, key, name, tenant }: Parts): string =>
  Key.of(tenant, name, key, idempotencyKey, ...(isRepeated ? ["repeated"] : []))
