/** What a `// =>` of a documentation block becomes: an assertion that can be seen to have run. */
import { Equal } from "effect"
import { expect } from "vitest"

expect.addEqualityTesters([
  (actual: unknown, expected: unknown) =>
    Equal.isEqual(actual) && Equal.isEqual(expected) ? Equal.equals(actual, expected) : undefined
])

export interface Assertions {
  /** Fails unless `actual` equals what `expected` returns. */
  readonly is: (line: number, actual: unknown, expected: () => unknown) => void
  /** Fails unless every assertion of the block ran: one inside a program nobody runs proves nothing. */
  readonly allRan: () => void
}

export const assertionsOf = (file: string, lines: ReadonlyArray<number>): Assertions => {
  const waiting = new Set(lines)
  return {
    is: (line, actual, expected) => {
      waiting.delete(line)
      expect(actual, `${file}:${line}`).toEqual(expected())
    },
    allRan: () => {
      expect(
        [...waiting].map((line) => `${file}:${line} never ran`),
        "assertions that never ran"
      ).toEqual([])
    }
  }
}
