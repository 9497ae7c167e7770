/**
 * Finds the proxy of a server, and makes connections through it.
 *
 * As `curl` and most clients read it: `HTTPS_PROXY` for https, `HTTP_PROXY` for http, `ALL_PROXY` for both, in lower case
 * first, and `NO_PROXY` names the servers that are reached directly. Requests always go through a tunnel (`CONNECT`), so
 * the proxy sees where they go and, for https, nothing else.
 */
import * as http from "node:http"
import * as https from "node:https"
import type { Socket } from "node:net"
import { env as environment } from "node:process"
import * as tls from "node:tls"
import type { buildConnector } from "undici"
import * as HttpUrl from "./HttpUrl.ts"
import * as ShownError from "../../core/ShownError.ts"

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The proxy that the environment names for a server; `undefined` when it is reached directly. Throws a `RangeError` for one
 * that cannot be gone through: to go directly instead would be another way than somebody wanted.
 */
export const ofEnvironment = (server: URL, env: Environment = environment): URL | undefined => {
  const valueOf = (name: string) =>
    [env[name.toLowerCase()], env[name]].find((value) => value !== undefined && value !== "")
  const name = [server.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY", "ALL_PROXY"].find(valueOf)
  if (name === undefined || isExcepted(server, valueOf("NO_PROXY") ?? "")) return undefined
  const proxy = valueOf(name) ?? ""
  const url = proxy.includes("://") ? proxy : `http://${proxy}`
  const fault = HttpUrl.faultOf(url)
  if (fault !== undefined) throw new RangeError(`${name} must be the http or https URL of a proxy, got ${fault}`)
  return new URL(url)
}

/** Whether `NO_PROXY` names a server: `*`, a host, a domain with or without a leading dot, each perhaps with a port. */
const isExcepted = (server: URL, noProxy: string): boolean => {
  const host = canonical(server.hostname)
  const port = server.port === "" ? (server.protocol === "https:" ? "443" : "80") : server.port
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => {
      if (entry === "" || entry === "*") return entry === "*"
      const [, name = entry, onlyPort] = /^(.+?|\[.*\]):(\d+)$/.exec(entry) ?? []
      if (onlyPort !== undefined && !(entry.split(":").length > 2 && !entry.startsWith("[")) && onlyPort !== port)
        return false
      const wanted = canonical(entry.split(":").length > 2 && !entry.startsWith("[") ? entry : name).replace(
        /^\*?\./,
        ""
      )
      return host === wanted || host.endsWith(`.${wanted}`)
    })
}

const bare = (host: string): string => host.replace(/^\[|\]$/g, "")

/** A name may end with the dot of the root, and an address of IPv6 be written in more ways than one. */
const canonical = (host: string): string => {
  const name = bare(host).replace(/\.$/, "")
  const address = name.includes(":") ? URL.parse(`http://[${name}]`)?.hostname : undefined
  return address === undefined ? name : bare(address)
}

/** Makes a connection through a proxy. Gives what closes it while it is being made. */
export const connect = (
  proxy: URL,
  to: buildConnector.Options,
  limitMillis: number,
  made: buildConnector.Callback
): (() => void) => {
  const secure = to.protocol === "https:"
  const target = `${to.hostname.includes(":") ? `[${to.hostname}]` : to.hostname}:${to.port || (secure ? 443 : 80)}`
  let upgraded: tls.TLSSocket | undefined
  const request = (proxy.protocol === "https:" ? https : http).request({
    host: bare(proxy.hostname),
    port: proxy.port,
    method: "CONNECT",
    path: target,
    agent: false,
    timeout: limitMillis,
    headers: { host: target, ...authorization(proxy) }
  })
  const failed = (error: Error) => made(error, null)
  request.once("timeout", () =>
    request.destroy(new ProxyError({ code: "ETIMEDOUT", message: "the proxy did not answer in time" }))
  )
  request.once("error", failed)
  request.once("connect", (answer: http.IncomingMessage, socket: Socket) => {
    request.off("error", failed)
    request.on("error", () => {})
    const { statusCode = 0 } = answer
    if (statusCode < 200 || statusCode > 299) {
      socket.destroy()
      const code = refusals.has(statusCode) ? "ProxyRefused" : "ECONNREFUSED"
      return failed(new ProxyError({ code, message: `the proxy answered ${statusCode} to CONNECT` }))
    }
    socket.setTimeout(0)
    if (!secure) return made(null, socket)
    const servername = to.servername || bare(to.hostname)
    upgraded = tls.connect({ socket, servername, ALPNProtocols: ["http/1.1"] })
    upgraded.once("error", failed)
    upgraded.setTimeout(limitMillis, () =>
      upgraded?.destroy(
        new ProxyError({ code: "ETIMEDOUT", message: "the server behind the proxy did not answer in time" })
      )
    )
    upgraded.once("secureConnect", () => {
      upgraded?.off("error", failed)
      upgraded?.setTimeout(0)
      if (upgraded !== undefined) made(null, upgraded)
    })
  })
  request.end()
  return () => {
    request.destroy()
    upgraded?.destroy()
  }
}

/** Answers of a proxy that does not let this client, or anybody, through to the server. */
const refusals = new Set([401, 403, 407])

/** A connection that the proxy did not make. Its code is that of a direct connection that failed alike, if there is one. */
class ProxyError extends ShownError.DataError("ProxyError")<{ readonly code: string; readonly message: string }> {}

const authorization = (proxy: URL): { readonly [name: string]: string } => {
  if (proxy.username === "" && proxy.password === "") return {}
  const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`
  return { "proxy-authorization": `Basic ${Buffer.from(credentials).toString("base64")}` }
}
