/**
 * Puts the pieces of tool calls together, whatever a server leaves out of them.
 */
import { Predicate } from "effect"
import type { Response } from "effect/ai"
import type { NamedTools } from "../tools/OfferedTools.ts"
import * as CallIds from "./CallIds.ts"
import { indexOf } from "./Choices.ts"
import * as Extras from "./Extras.ts"
import * as Faults from "./Faults.ts"
import * as Limits from "./Limits.ts"
import * as Notes from "./Notes.ts"
import { isWhole, textOf, ToolParams } from "./ToolParams.ts"

type Part = Response.StreamPartEncoded

interface Call {
  /** The id as the server gave it. */
  readonly given: string
  readonly id: string
  name: string
  readonly params: ToolParams
  /** What came before its name was known. */
  held: string
  isOpen: boolean
  /** Fields that nobody here reads. */
  readonly more: Extras.Fields
}

/** What one piece says of its call. */
interface Piece {
  readonly index: number | undefined
  readonly given: string
  readonly name: string
  readonly params: unknown
  /** Whether it may be one of several: a call that comes whole is not. */
  readonly isPiece: boolean
}

const known = new Set(["index", "id", "type", "function"])

/** What the calls of one answer have in common. */
export interface Props {
  readonly tools: NamedTools
  readonly limits: Limits.Resolved
  /** Who answers. */
  readonly provider: string
}

export class ToolCalls {
  private readonly limits: Limits.Resolved
  private readonly tools: NamedTools
  private readonly provider: string
  private readonly extras: Extras.Extras
  private readonly calls: Array<Call> = []
  private readonly byIndex = new Map<number, Call>()
  private readonly byGiven = new Map<string, Call>()
  private readonly ids = new Set<string>()

  constructor({ limits, provider, tools }: Props) {
    this.limits = limits
    this.tools = tools
    this.provider = provider
    this.extras = new Extras.Extras(limits)
  }

  /** Whether any call says anything. */
  get any(): boolean {
    return this.calls.some((call) => !isEmpty(call))
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
    // What Text Generation Inference once called them.
    const said = named["arguments"] ?? named["parameters"]
    if (!Limits.isWithin(said, this.limits.maxDepth)) throw this.tooDeep()
    const given = nameOf(piece["id"])
    const call = this.callOf(
      {
        index: place ?? indexOf(piece["index"]),
        given,
        name,
        params: said,
        isPiece: place === undefined
      },
      prefix
    )
    this.extras.pieces(call.more, piece, known)
    if (!call.isOpen && call.params.isEmpty) call.name = this.nameWith(call.name, name)
    const params = call.params.add(said)
    if (call.isOpen) {
      if (params !== "") out.push({ type: "tool-params-delta", id: call.id, delta: params })
      return
    }
    if (call.name === "") call.name = name
    call.held += params
    // A name that no tool has yet may go on.
    if (call.name !== "" && (call.held !== "" || !this.tools.begins(call.name))) open(call, out)
  }

  /** Some servers send a name in pieces. One that a tool has, or that leads to no tool, is whole. */
  private nameWith(before: string, piece: string): string {
    return before === "" || (piece !== "" && this.tools.begins(before) && this.tools.isBegun(before + piece))
      ? before + piece
      : before
  }

  /**
   * Ends all calls: gives each with its parameters. The first carries what its server wants back of the `message`. One that says
   * nothing at all is none, unless it is all that there is: `isMute`.
   */
  end(message: Extras.Fields, isMute: boolean, out: Array<Part>): void {
    const isAny = !isMute || this.calls.some(({ name }) => name !== "")
    let back: Extras.Fields | undefined = message
    for (const call of this.calls) {
      const { given, id, more, name, params } = call
      // Some servers end with one, or write one beside each text.
      if (isEmpty(call) && isAny) continue
      if (name === "") throw new Faults.Unreadable({ because: `${Faults.named("tool call", given)} names no tool` })
      if (!call.isOpen) open(call, out)
      // Some servers write that there are no parameters as "null".
      const value = this.tools.readParams(name, params.said()) ?? {}
      if (!Limits.isWithin(value, this.limits.maxDepth)) throw this.tooDeep()
      // Its own server takes an id that others refuse.
      const noted = id === given && CallIds.isPlain(id) ? undefined : given
      const note = { id: noted, call: more, message: back }
      back = undefined
      const metadata = Notes.metadataOf(note, this.provider)
      out.push({ type: "tool-params-end", id }, { type: "tool-call", id, name, params: value, ...metadata })
    }
  }

  private tooDeep() {
    const because = "the parameters of a tool call are nested too deeply"
    return new Faults.BeyondLimit({ limit: "maxDepth", allowed: this.limits.maxDepth, because })
  }

  private callOf(piece: Piece, prefix: string): Call {
    const { given, index } = piece
    const at = this.begun(piece)
    if (at !== undefined && (this.isRestOfName(at, piece) || !isAnother(at, piece))) return at
    const { maxToolCalls } = this.limits
    if (this.calls.length >= maxToolCalls) {
      const because = "the answer calls too many tools"
      throw new Faults.BeyondLimit({ limit: "maxToolCalls", allowed: maxToolCalls, because })
    }
    const id = this.uniqueId(given, prefix)
    const call: Call = { given, id, name: "", params: new ToolParams(), held: "", isOpen: false, more: {} }
    this.calls.push(call)
    this.byIndex.set(index ?? this.calls.length - 1, call)
    if (given !== "") this.byGiven.set(given, call)
    return call
  }

  /** The call that a piece may belong to. Some servers give every call the same index, or none, and tell them by their ids. */
  private begun({ given, index, isPiece, name }: Piece): Call | undefined {
    const at = index === undefined ? this.calls.at(-1) : this.byIndex.get(index)
    // Some servers count each piece of a call: one that says nothing of its own goes on with the call that has not ended.
    const last = this.calls.at(-1)
    if (at === undefined && given === "" && name === "" && isPiece && last !== undefined && last.params.goesOn)
      return last
    const isElsewhere = at !== undefined && given !== "" && given !== at.given && (name === "" || index === undefined)
    return isElsewhere ? (this.byGiven.get(given) ?? at) : at
  }

  private isRestOfName(at: Call, { given, name }: Piece): boolean {
    if (at.isOpen || !at.params.isEmpty || (given !== "" && given !== at.given) || this.tools.isBegun(name))
      return false
    return this.nameWith(at.name, name) !== at.name
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

const isEmpty = ({ more, name, params }: Call): boolean =>
  name === "" && params.isEmpty && Object.keys(more).length === 0

/** Says which tool is called, and what came of its parameters. */
const open = (call: Call, out: Array<Part>): void => {
  call.isOpen = true
  out.push({ type: "tool-params-start", id: call.id, name: call.name })
  if (call.held !== "") out.push({ type: "tool-params-delta", id: call.id, delta: call.held })
  call.held = ""
}

/**
 * Whether a piece begins another call. One that names the same tool under another id goes on with a call that has not ended:
 * some servers make a new id for each piece, or give the id late.
 */
const isAnother = (at: Call, { given, index, name, params }: Piece): boolean => {
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
