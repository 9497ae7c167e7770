/**
 * Puts the pieces of tool calls together, whatever a server leaves out of them.
 */
import { Predicate } from "effect"
import type { Response } from "effect/ai"
import type { OfferedTools } from "../tools/OfferedTools.ts"
import * as Faults from "./Faults.ts"
import * as Limits from "./Limits.ts"
import { isWhole, textOf, ToolParams } from "./ToolParams.ts"

type Part = Response.StreamPartEncoded

interface Call {
  /** The id as the server gave it. */
  readonly given: string
  readonly id: string
  name: string
  readonly params: ToolParams
  /** What came before its name. */
  held: string
  isOpen: boolean
}

export class ToolCalls {
  private readonly limits: Limits.Resolved
  private readonly calls: Array<Call> = []
  private readonly byIndex = new Map<number, Call>()
  private readonly byGiven = new Map<string, Call>()
  private readonly ids = new Set<string>()

  constructor(limits: Limits.Resolved) {
    this.limits = limits
  }

  get any(): boolean {
    return this.calls.length > 0
  }

  /**
   * Takes one piece. It belongs to the call with its index, or, without an index, to the one with its id, or else to the one
   * that was begun last; a piece that names another id and a tool begins a call of its own, although its index is taken.
   * `prefix` makes ids for calls that have none. `place` is the index of a call that comes whole, whatever index it says.
   */
  add(piece: unknown, prefix: string, out: Array<Part>, place?: number): void {
    if (!Predicate.isObject(piece)) throw new Faults.Unreadable({ because: "a tool call is no object" })
    const named = Predicate.isObject(piece["function"]) ? piece["function"] : {}
    const name = nameOf(named["name"])
    if (!Limits.isWithin(named["arguments"], this.limits.maxDepth)) throw this.tooDeep()
    const given = nameOf(piece["id"])
    const call = this.callOf(place ?? indexOf(piece["index"]), given, name, named["arguments"], prefix)
    const params = call.params.add(named["arguments"])
    if (call.isOpen) {
      if (params !== "") out.push({ type: "tool-params-delta", id: call.id, delta: params })
      return
    }
    call.name = call.name === "" ? name : call.name
    call.held += params
    if (call.name === "") return
    call.isOpen = true
    out.push({ type: "tool-params-start", id: call.id, name: call.name })
    if (call.held !== "") out.push({ type: "tool-params-delta", id: call.id, delta: call.held })
    call.held = ""
  }

  /** Ends all calls: gives each with its parameters. */
  end(tools: OfferedTools, out: Array<Part>): void {
    for (const { given, id, isOpen, name, params } of this.calls) {
      if (!isOpen) throw new Faults.Unreadable({ because: `the tool call ${JSON.stringify(given)} names no tool` })
      const value = tools.readParams(name, params.said())
      if (!Limits.isWithin(value, this.limits.maxDepth)) throw this.tooDeep()
      const note = id === given ? {} : { metadata: { chatWire: { id: given } } }
      out.push({ type: "tool-params-end", id }, { type: "tool-call", id, name, params: value, ...note })
    }
  }

  private tooDeep() {
    const because = "the parameters of a tool call are nested too deeply"
    return new Faults.BeyondLimit({ limit: "maxDepth", allowed: this.limits.maxDepth, because })
  }

  private callOf(index: number | undefined, given: string, name: string, params: unknown, prefix: string): Call {
    const at = this.begun(index, given, name)
    if (at !== undefined && !isAnother(at, index, given, name, params)) return at
    const { maxToolCalls } = this.limits
    if (this.calls.length >= maxToolCalls) {
      const because = "the answer calls too many tools"
      throw new Faults.BeyondLimit({ limit: "maxToolCalls", allowed: maxToolCalls, because })
    }
    const id = this.uniqueId(given, prefix)
    const call: Call = { given, id, name: "", params: new ToolParams(), held: "", isOpen: false }
    this.calls.push(call)
    this.byIndex.set(index ?? this.calls.length - 1, call)
    if (given !== "") this.byGiven.set(given, call)
    return call
  }

  /** The call that a piece may belong to. Some servers give every call the same index, or none, and tell them by their ids. */
  private begun(index: number | undefined, given: string, name: string): Call | undefined {
    const at = index === undefined ? this.calls.at(-1) : this.byIndex.get(index)
    const isElsewhere = at !== undefined && given !== "" && given !== at.given && (name === "" || index === undefined)
    return isElsewhere ? (this.byGiven.get(given) ?? at) : at
  }

  /** Results are sent back by id, so no two calls may share one. */
  private uniqueId(given: string, prefix: string): string {
    let id = given === "" ? `${prefix}-${this.calls.length}` : given
    if (this.ids.has(id)) id = `${id}-${this.calls.length}`
    while (this.ids.has(id)) id = `${id}-2`
    this.ids.add(id)
    return id
  }
}

/**
 * Whether a piece begins another call. One that names the same tool under another id goes on with a call that has not ended:
 * some servers make a new id for each piece, or give the id late.
 */
const isAnother = (at: Call, index: number | undefined, given: string, name: string, params: unknown): boolean => {
  if (name === "" || at.name === "") return false
  const comesLate = at.given === "" && given !== "" && at.params.isEmpty
  const goesOn = name === at.name && (comesLate || at.params.isOpen)
  if (goesOn) return false
  return given === "" ? index === undefined || comesWhole(at, name, params) : given !== at.given
}

/** Some servers give every call the index 0 and no id: one begins with another name, or behind whole parameters. */
const comesWhole = (before: Call, name: string, params: unknown): boolean =>
  name !== before.name || (before.params.cameWhole && isWhole(textOf(params)))

const nameOf = (value: unknown): string => (Predicate.isString(value) ? value : "")

/** Some servers write the index as a text. */
const indexOf = (value: unknown): number | undefined => {
  const index = Predicate.isString(value) && /^\d{1,9}$/.test(value) ? Number(value) : value
  return Predicate.isNumber(index) ? index : undefined
}
