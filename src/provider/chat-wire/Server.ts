/**
 * Knows where calls go, and what travels with each of them.
 */
import { Redacted, type Tracer } from "effect"
import type * as OptionCheck from "../../core/OptionCheck.ts"
import type * as Exchange from "../http/Exchange.ts"
import * as HttpUrl from "../http/HttpUrl.ts"
import * as Proxy from "../http/Proxy.ts"
import * as Secrets from "../http/Secrets.ts"
import * as Dialects from "./Dialects.ts"

/** What is said of a server. */
export interface Said {
  readonly baseUrl: string | URL
  readonly model?: string | undefined
  readonly apiKey?: string | Redacted.Redacted | undefined
  readonly headers?: { readonly [name: string]: string | Redacted.Redacted | undefined } | undefined
  readonly query?: { readonly [name: string]: string } | undefined
  readonly proxy?: string | URL | false | undefined
}

export interface Server {
  /** Who answers when nobody says who: a known server's name, else where it is. */
  readonly name: string
  readonly origin: string
  /** Whether others have the same name: a known domain has many hosts, and each host of Azure many deployments. */
  readonly isOneOfMany: boolean
  /** The path of a chat completion, with its query. */
  readonly path: string
  /** The path of another endpoint below the base URL, with the same query. */
  readonly pathOf: (endpoint: string) => string
  /** Where calls go, as it may be shown: without user, password and query. */
  readonly url: string
  readonly known: Dialects.Known | undefined
  readonly key: string | undefined
  /** Of the base URL's user and password. */
  readonly basic: string | undefined
  readonly headers: ReadonlyMap<string, string>
  readonly proxy: URL | undefined
  readonly mask: Secrets.Mask
  readonly secrets: ReadonlyArray<string>
}

export const make = (said: Said, check: OptionCheck.OptionCheck): Server => {
  const base = urlOf("baseUrl", said.baseUrl, check)
  if (said.headers !== undefined) check.record("headers", said.headers)
  if (said.query !== undefined) check.record("query", said.query)
  const headers = new Map<string, string>()
  const hidden: Array<string> = []
  for (const [name, value] of Object.entries(said.headers ?? {})) {
    if (value === undefined) continue
    const shown = headerOf(`headers.${name}`, plain(value), check)
    headers.set(name.toLowerCase(), shown)
    if (Redacted.isRedacted(value) || Secrets.isSecretHeader(name)) hidden.push(shown)
  }
  const key = said.apiKey === undefined ? undefined : headerOf("apiKey", plain(said.apiKey), check)
  const url = new URL(base.origin)
  const folder = base.pathname.replace(/(?:\/chat\/completions)?\/*$/, "")
  url.pathname = `${folder}/chat/completions`
  for (const [name, value] of base.searchParams) url.searchParams.append(name, value)
  for (const [name, value] of Object.entries(said.query ?? {})) url.searchParams.set(name, value)
  const user = decodeURIComponent(base.username)
  const password = decodeURIComponent(base.password)
  const basic = user === "" && password === "" ? undefined : Buffer.from(`${user}:${password}`).toString("base64")
  const through = said.proxy === undefined ? Proxy.ofEnvironment(base) : said.proxy === false ? undefined : said.proxy
  const proxy = through === undefined ? undefined : urlOf("proxy", through, check)
  const proxyPassword = decodeURIComponent(proxy?.password ?? "")
  const secrets = [key, user, password, basic, proxyPassword, ...hidden, ...secretParameters(url)].filter(
    (secret): secret is string => secret !== undefined && secret !== ""
  )
  const known = Dialects.ofHost(base.hostname, said.model)
  return {
    name: known?.name ?? placeOf(base, folder),
    isOneOfMany: known !== undefined && known.host !== base.hostname,
    origin: base.origin,
    path: `${url.pathname}${url.search}`,
    pathOf: (endpoint) => `${folder}${endpoint}${url.search}`,
    url: `${base.origin}${url.pathname}`,
    known,
    key,
    basic,
    headers,
    proxy,
    mask: Secrets.maskOf(secrets),
    secrets
  }
}

/** Short for most, and another for each: the host, its port and its folder unless they are those that most servers have. */
const placeOf = ({ host }: URL, folder: string): string =>
  folder === "" || folder === "/v1" ? host : `${host}${folder}`

/** A server with the headers that every call has. */
export interface Authorized {
  readonly server: Server
  readonly headers: ReadonlyMap<string, string>
  readonly pairs: ReadonlyArray<string>
}

/** Adds how the key travels. A header that was given by name wins. */
export const authorize = (server: Server, auth: Dialects.Resolved["auth"]): Authorized => {
  const headers = new Map<string, string>([
    ["content-type", "application/json"],
    ["accept-encoding", "identity"],
    ["user-agent", "holdfast"]
  ])
  if (server.basic !== undefined) headers.set("authorization", `Basic ${server.basic}`)
  if (server.key !== undefined && auth === "bearer") headers.set("authorization", `Bearer ${server.key}`)
  if (server.key !== undefined && auth === "api-key") headers.set("api-key", server.key)
  for (const [name, value] of server.headers) headers.set(name, value)
  return { server, headers, pairs: [...headers].flat() }
}

/** What one call adds. */
export interface Addition {
  readonly body: string | Uint8Array
  readonly streamed: boolean
  readonly trace: Tracer.AnySpan | undefined
  readonly headers: { readonly [name: string]: string | undefined } | undefined
  /** Default: the path of a chat completion. */
  readonly path?: string | undefined
}

/** Of headers that are named more than once the call's count, then the server's, then ours; in capitals or not. */
export const request = ({ headers, pairs, server }: Authorized, addition: Addition): Exchange.Request => {
  const { body, streamed, trace } = addition
  const named = addition.headers === undefined ? none : namedBy(addition.headers)
  const all = named.size === 0 ? [...pairs] : pairsWithout(named, pairs)
  const isNamed = (name: string): boolean => named.has(name) || headers.has(name)
  if (!isNamed("accept")) all.push("accept", streamed ? "text/event-stream" : "application/json")
  if (trace !== undefined && isTrace(trace) && !isNamed("traceparent")) all.push("traceparent", traceparentOf(trace))
  for (const [name, value] of named) all.push(name, value)
  return {
    origin: server.origin,
    path: addition.path ?? server.path,
    method: "POST",
    headers: all,
    body,
    proxy: server.proxy
  }
}

const none: ReadonlyMap<string, string> = new Map()

const namedBy = (headers: NonNullable<Addition["headers"]>): ReadonlyMap<string, string> => {
  const named = new Map<string, string>()
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) named.set(name.toLowerCase(), value)
  }
  return named
}

const pairsWithout = (named: ReadonlyMap<string, string>, pairs: ReadonlyArray<string>): Array<string> => {
  const left: Array<string> = []
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const name = pairs[at] ?? ""
    if (!named.has(name)) left.push(name, pairs[at + 1] ?? "")
  }
  return left
}

/** With tracing off there are spans, but no trace. */
const isTrace = ({ spanId, traceId }: Tracer.AnySpan): boolean =>
  /^(?!0+$)[0-9a-f]{32}$/.test(traceId) && /^(?!0+$)[0-9a-f]{16}$/.test(spanId)

/** As the W3C writes it. */
const traceparentOf = ({ sampled, spanId, traceId }: Tracer.AnySpan): string =>
  `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`

const plain = (value: string | Redacted.Redacted): string =>
  Redacted.isRedacted(value) ? Redacted.value(value) : value

/** HTTP allows only these characters in a header's value. The value itself is not shown: it may be a key. */
const headerOf = (name: string, value: string, check: OptionCheck.OptionCheck): string =>
  typeof value !== "string"
    ? check.reject(name, "a text", value)
    : /^[\t\x20-\x7e\x80-\xff]*$/.test(value)
      ? value
      : check.refuse(name, "a text that HTTP allows in a header", "one with other characters")

const urlOf = (name: string, value: string | URL, check: OptionCheck.OptionCheck): URL => {
  const fault = HttpUrl.faultOf(value)
  return fault === undefined ? new URL(String(value)) : check.refuse(name, "an http or https URL", fault)
}

/** Versions are told to anybody; other parameters may be keys. */
const secretParameters = (url: URL): ReadonlyArray<string> =>
  [...url.searchParams].flatMap(([name, value]) => (/version/i.test(name) ? [] : [value]))
