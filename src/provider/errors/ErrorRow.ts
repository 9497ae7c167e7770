/** Describes a row of the table of provider errors: what it asks of an error, and what it says that it means. */

/** What an error means: the reason class of `AiError` to use, and what the row knows about it. */
export type Verdict =
  | { readonly is: "RateLimit" | "Quota" | "ContentPolicy" | "InternalProvider" | "InvalidOutput" | "InvalidResponse" }
  | {
      readonly is: "Authentication"
      readonly kind: "InvalidKey" | "ExpiredKey" | "MissingKey" | "InsufficientPermissions" | "Unknown"
    }
  | { readonly is: "InvalidRequest"; readonly parameter?: string; readonly constraint?: string }
  | { readonly is: "InvalidUserInput" | "Unknown" }
  | { readonly is: "Network"; readonly reason: "TransportError" | "EncodeError" | "InvalidUrlError" }

/**
 * One row. All conditions it names must hold; `words` and `says` are matched in lower case. A row that goes by wording alone
 * also wants that there is no code but those that say nothing.
 */
export interface Row {
  /** A code, type or reason that is exactly one of these, or matches. */
  readonly words?: ReadonlyArray<string> | RegExp
  /** A text for humans matches this, outside of quotations. */
  readonly says?: RegExp
  /** The status lies in this range, both ends included. For a wording, no status at all counts as 0. */
  readonly status?: readonly [from: number, to: number]
  readonly verdict: Verdict
}
