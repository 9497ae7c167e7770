/**
 * Shows what goes over the wire, to find out what a server and this client make of each other.
 */
import { isSecretHeader, type Mask, masked } from "../http/Secrets.ts"

/** One moment of a call. Keys are masked; prompts and answers are not. */
export type Entry =
  | {
      readonly event: "sent"
      readonly call: number
      readonly url: string
      readonly headers: Readonly<Record<string, string>>
      readonly body: string
    }
  | {
      readonly event: "answered"
      readonly call: number
      readonly status: number
      /** Those that are passed on. */
      readonly headers: Readonly<Record<string, string>>
    }
  | {
      readonly event: "ended"
      readonly call: number
      /** At most the first 64 KiB. */
      readonly body: string
      /** `"answered"`, `"refused"`, `"given up"` (interrupted, or its stream was left), or what went wrong. */
      readonly outcome: string
    }

/** Takes an entry. What it throws is ignored. */
export type Logger = (entry: Entry) => void

/** What the log shows of a request: names and values of headers in turn. */
interface Sent {
  readonly origin: string
  readonly path: string
  readonly headers: ReadonlyArray<string>
  readonly body: string | Uint8Array | null
}

const mostBytes = 64 * 1_024

let calls = 0

/** The log of one call. */
export class WireLog {
  private readonly logger: Logger
  private readonly mask: Mask
  private readonly call = ++calls
  private buffers: Array<Uint8Array> = []
  private size = 0
  private hasEnded = false

  constructor(logger: Logger, mask: Mask) {
    this.logger = logger
    this.mask = mask
  }

  sent({ body, headers, origin, path }: Sent): void {
    const shown: Record<string, string> = {}
    for (let at = 0; at + 1 < headers.length; at += 2) {
      const name = headers[at] ?? ""
      shown[name] = isSecretHeader(name) ? masked : this.mask(headers[at + 1] ?? "")
    }
    const text = body === null ? "" : typeof body === "string" ? body : Buffer.from(body).toString("utf8")
    const url = `${origin}${path.split("?")[0]}`
    this.tell({ event: "sent", call: this.call, url, headers: shown, body: this.mask(text) })
  }

  answered(status: number, headers: Readonly<Record<string, string>>): void {
    this.tell({ event: "answered", call: this.call, status, headers })
  }

  read(bytes: Uint8Array): void {
    if (this.size < mostBytes) this.buffers.push(bytes.subarray(0, mostBytes - this.size))
    this.size += bytes.length
  }

  /** Only the first end counts. */
  ended(body: string | undefined, outcome: string): void {
    if (this.hasEnded) return
    this.hasEnded = true
    const text = body ?? Buffer.concat(this.buffers).toString("utf8")
    this.buffers = []
    this.tell({ event: "ended", call: this.call, body: this.mask(text), outcome })
  }

  private tell(entry: Entry): void {
    try {
      this.logger(entry)
    } catch {
      // A log that fails must not fail the call.
    }
  }
}
