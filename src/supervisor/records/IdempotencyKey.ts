/**
 * Builds the key by which a job is joined: what is the same work for one tenant is none of another's business.
 */
import * as Key from "../../core/call/Key.ts"

export interface Parts {
  /** For whom it is; undefined for nobody in particular, which is no tenant. */
  readonly tenant: string | undefined
  /** The job's given name. */
  readonly name: string | undefined
  /** What the submitter calls the work. */
  readonly key: string
  /** True for what repeats, which is no other work's result. Default false. */
  readonly isRepeated?: boolean
}

/** Different parts give different keys. */
export const of = ({ isRepeated = false, key, name, tenant }: Parts): string =>
  Key.of(tenant, name, key, ...(isRepeated ? ["repeated"] : []))
