/**
 * Says which response headers are passed on: those that somebody reads. Others may hold anything, credentials included.
 *
 * A header of limits or waits is named in `core/call/LimitHeaders.ts`, and passes for that.
 */
import * as LimitHeaders from "../../core/call/LimitHeaders.ts"
import type { Headers } from "./Exchange.ts"

const names = new Set(
  [
    ["content-type", "x-should-retry"],
    ["x-request-id", "request-id", "apim-request-id", "x-ms-request-id", "x-amzn-requestid", "x-amzn-errortype"],
    ["cf-ray", "server-timing", "openai-processing-ms", "openai-version", "openai-model", "x-ms-region", "traceparent"]
  ].flat()
)
/** Limits that only an application reads: of other tiers, units and windows. */
const families = /^(?:x-|anthropic-)?ratelimit|^anthropic-(?:priority|fast)-/

/** Whether a header is passed on, by its name in lower case. */
export const isPassed = (name: string): boolean =>
  names.has(name) || LimitHeaders.names.has(name) || families.test(name)

/** The headers that are passed on, `more` among them. */
export const passed = (headers: Headers, more: ReadonlySet<string>): Record<string, string> => {
  const kept: Record<string, string> = {}
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || !(isPassed(name) || more.has(name))) continue
    kept[name] = Array.isArray(value) ? value.join(", ") : value
  }
  return kept
}
