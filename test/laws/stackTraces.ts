import { afterAll, beforeAll } from "vitest"

/** Leaves stack traces out of the errors made by the tests of a file: of thousands of runs they would take most of the time. */
export const withoutStackTraces = (): void => {
  const { stackTraceLimit } = Error
  beforeAll(() => {
    Error.stackTraceLimit = 0
  })
  afterAll(() => {
    Error.stackTraceLimit = stackTraceLimit
  })
}
