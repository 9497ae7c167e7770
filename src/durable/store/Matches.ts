/**
 * Says whether a filter means a job.
 */
import type { Filter } from "./Job.ts"
import type { Row } from "./Table.ts"

/** What a filter looks at. */
export type Matched = Pick<Row, "id" | "name" | "key" | "state" | "metadata">

export const matches = ({ ids, keys, metadata = {}, names, states }: Filter, row: Matched): boolean =>
  (ids === undefined || ids.includes(row.id)) &&
  (names === undefined || names.includes(row.name)) &&
  (keys === undefined || keys.includes(row.key)) &&
  (states === undefined || states.includes(row.state)) &&
  Object.entries(metadata).every(([fact, value]) => Object.hasOwn(row.metadata, fact) && row.metadata[fact] === value)
