/**
 * Makes the error of a job, which says the name that its submitter gave it beside its id.
 */
import { JobError, NotAccepting, type Reason } from "../JobError.ts"
import * as JobId from "./JobId.ts"

/** Whose error it is. Its id is written out only for an error. */
export interface Subject {
  readonly id: string
  readonly givenName: string | undefined
}

export const job = ({ givenName, id }: Subject, reason: Reason): JobError =>
  new JobError({ id, reason, ...(givenName === undefined ? {} : { jobName: givenName }) })

/** The error of a job that was not accepted. */
export const refused = (
  { givenName, jobId }: { readonly givenName: string | undefined; readonly jobId: JobId.JobId },
  reason: Reason
): JobError => job({ id: JobId.toText(jobId), givenName }, reason)

/** Why the job of a job that is ending was refused. */
export const endingParent = ({ givenName, id }: Subject): NotAccepting =>
  new NotAccepting({
    because: "parent ending",
    parentId: id,
    ...(givenName === undefined ? {} : { parentName: givenName })
  })
