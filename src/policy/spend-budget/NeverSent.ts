/**
 * Tells requests that never reached anybody from those whose connection was lost later, when they may have been read.
 */
import { Predicate } from "effect"
import type { AiError } from "effect/ai"

/** Whether nobody can have got the request: it could not be written, there was no such server, or no connection to it. */
export const is = ({ cause, reason }: AiError.NetworkError): boolean =>
  reason !== "TransportError" || (Predicate.hasProperty(cause, "code") && withoutConnection.has(String(cause.code)))

/** What Node's sockets, its `fetch` and our proxies say when no connection was made. `ETIMEDOUT` comes later, too. */
const withoutConnection = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "ENETDOWN",
  "UND_ERR_CONNECT_TIMEOUT",
  "ProxyRefused"
])
