/**
 * Writes a filter as SQL.
 */
import type { Filter } from "../store/Job.ts"
import { encode, states as known, type Value } from "./Columns.ts"

export interface Conditions {
  readonly from: string
  readonly where: string
  readonly values: ReadonlyArray<Value>
}

/** What to select from, on which condition. A fact leads to its jobs; whatever else there is, is looked at in each of them. */
export const conditionsOf = ({ ids, keys, metadata = {}, names, states }: Filter): Conditions => {
  const where: Array<string> = []
  const values: Array<Value> = []
  const facts = Object.entries(metadata)
  for (const [index, [fact, value]] of facts.entries()) {
    where.push(
      index === 0
        ? "first.fact = ? AND first.value = ?"
        : "EXISTS (SELECT 1 FROM fact WHERE fact = ? AND value = ? AND job = job.position)"
    )
    values.push(encode(fact), JSON.stringify(value))
  }
  const among = (column: string, texts: ReadonlyArray<string> | undefined) => {
    if (texts === undefined) return
    where.push(`job.${column} IN (SELECT value FROM json_each(?))`)
    values.push(JSON.stringify(texts.map(encode)))
  }
  among("id", ids)
  among("name", names)
  among("key", keys)
  if (states !== undefined) {
    const numbers = states.map((state) => known.indexOf(state))
    where.push(`job.state IN (${numbers.join(", ")})`)
  }
  return {
    from: facts.length === 0 ? "job" : "fact AS first CROSS JOIN job ON job.position = first.job",
    where: where.length === 0 ? "true" : where.join(" AND "),
    values
  }
}
