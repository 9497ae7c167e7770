/** What a bench returns: one row per thing compared, the same figures in each. A number's unit stands in its name. */
export type Row = Readonly<Record<string, string | number>>

/** Writes rows as a table: text to the left, numbers to the right with at most two decimals. */
export const render = (rows: ReadonlyArray<Row>): string => {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const columns = names.map((name) => {
    const values = rows.map((row) => row[name] ?? "")
    const isNumeric = values.every((value) => typeof value === "number" || value === "")
    const cells = [name, ...values.map(format)]
    const width = Math.max(...cells.map((cell) => cell.length))
    return cells.map((cell) => (isNumeric ? cell.padStart(width) : cell.padEnd(width)))
  })
  const lines = [-1, ...rows.keys()].map((row) =>
    columns
      .map((cells) => cells[row + 1] ?? "")
      .join("  ")
      .trimEnd()
  )
  const rule = columns.map((cells) => "─".repeat(cells[0]?.length ?? 0)).join("  ")
  return [lines[0] ?? "", rule, ...lines.slice(1)].join("\n")
}

const format = (value: string | number): string =>
  typeof value === "string" ? value : value.toLocaleString("en-US", { maximumFractionDigits: 2 })
