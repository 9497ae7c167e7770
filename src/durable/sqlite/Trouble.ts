/**
 * What is wrong with a file, as plain data that a thread can send; it becomes the reason of a `JobStoreError`.
 */

/** What is wrong, and where. */
export type Problem =
  | { readonly _tag: "Owned"; readonly path: string; readonly by: string }
  | { readonly _tag: "Damaged"; readonly path: string; readonly problem: string }
  | { readonly _tag: "Newer"; readonly path: string; readonly found: number; readonly known: number }
  | { readonly _tag: "Full" }
  | { readonly _tag: "Unavailable"; readonly problem: string }

/** An error to throw where a file is opened or used. */
export const trouble = (problem: Problem): Error & { readonly problem: Problem } =>
  Object.assign(new Error(problem._tag), { problem })

/** What an error of SQLite or of the system means. */
export const problemOf = (error: unknown, path: string): Problem => {
  const { code, errcode, message = String(error), problem } = error as Partial<Thrown>
  if (problem !== undefined) return problem
  // The lower byte is the kind of error, the rest its details.
  const kind = errcode === undefined ? undefined : errcode & 0xff
  if (kind === 11 || kind === 26) return { _tag: "Damaged", path, problem: message }
  if (kind === 13 || code === "ENOSPC") return { _tag: "Full" }
  return { _tag: "Unavailable", problem: message }
}

/** What may be known of an error: SQLite's number, the system's word, or the problem itself. */
interface Thrown {
  readonly code: string
  readonly errcode: number
  readonly message: string
  readonly problem: Problem
}
