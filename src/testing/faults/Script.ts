/** Says which behaviour each call gets, and keeps count of the calls. */
import type { AiError } from "effect/ai"
import type * as OptionCheck from "../../core/OptionCheck.ts"
import { type Behaviour, check } from "./Behaviour.ts"

/**
 * How the calls are answered: the first by the first behaviour and so on, all calls after the last one like it; or each
 * by what a function says, which is called once, when the call begins.
 */
export type Script<Request> = ReadonlyArray<Behaviour> | ((call: Call<Request>) => Behaviour)

/** A call that begins. */
export interface Call<out Request> {
  /** From 1, in the order in which calls begin. */
  readonly number: number
  readonly method: "generateText" | "streamText"
  readonly request: Request
  /** When it begins, in milliseconds of a clock of whoever answers that is never set. */
  readonly startMillis: number
  /** How long after the answering side was made that is. */
  readonly elapsedMillis: number
}

/** A call that began, as it is now. */
export interface Entry<out Request> extends Call<Request> {
  readonly behaviour: Behaviour
  /**
   * How it ended, `undefined` as long as it has not: `completed` when the whole answer was given, `failed` when what went
   * wrong was given instead, `died` after a defect, `interrupted` when the caller left before all that.
   */
  readonly ended: "completed" | "failed" | "died" | "interrupted" | undefined
  readonly endMillis: number | undefined
  /** What the call failed with, where that is known. */
  readonly error: AiError.AiError | undefined
}

/** What was asked so far. The object changes as calls come and go: read its fields when you need them. */
export interface Seen<out Request> {
  /** Calls that began. Each is either open or one of completed, failed and interrupted. */
  readonly calls: number
  readonly open: number
  /** The most that were open at one moment. */
  readonly mostOpen: number
  readonly completed: number
  /** Failed and died. */
  readonly failed: number
  readonly interrupted: number
  /** The newest calls, oldest first. */
  readonly log: ReadonlyArray<Entry<Request>>
}

/** The behaviour a script has for a call. Throws a `RangeError`, or the function does, for one that makes no sense. */
export const compile = <Request>(
  script: Script<Request>,
  options: OptionCheck.OptionCheck
): ((call: Call<Request>) => Behaviour) => {
  if (typeof script === "function") {
    return (call) => {
      const behaviour = script(call)
      check(behaviour)
      return behaviour
    }
  }
  if (!Array.isArray(script)) options.reject("script", "a list of behaviours, or a function", script)
  if (script.length === 0) throw new RangeError("script must have at least one behaviour, not 0")
  script.forEach(check)
  return ({ number }) => script[Math.min(number, script.length) - 1] ?? {}
}

/** Keeps {@link Seen}. */
export class RequestLog<Request> implements Seen<Request> {
  calls = 0
  open = 0
  mostOpen = 0
  completed = 0
  failed = 0
  interrupted = 0
  readonly log: Array<OpenEntry<Request>> = []
  private readonly behaviourOf: (call: Call<Request>) => Behaviour
  private readonly madeMillis: number
  private readonly remember: number

  constructor(behaviourOf: (call: Call<Request>) => Behaviour, madeMillis: number, remember: number) {
    this.behaviourOf = behaviourOf
    this.madeMillis = madeMillis
    this.remember = remember
  }

  begin(method: Call<Request>["method"], request: Request, startMillis: number): OpenEntry<Request> {
    const call = { number: this.calls + 1, method, request, startMillis, elapsedMillis: startMillis - this.madeMillis }
    const entry = {
      ...call,
      behaviour: this.behaviourOf(call),
      ended: undefined,
      endMillis: undefined,
      error: undefined
    }
    this.calls += 1
    this.open += 1
    this.mostOpen = Math.max(this.mostOpen, this.open)
    this.log.push(entry)
    if (this.log.length > this.remember) this.log.shift()
    return entry
  }

  /** Notes how a call ended. Only the first time counts. */
  end(
    entry: OpenEntry<Request>,
    ended: NonNullable<Entry<Request>["ended"]>,
    endMillis: number,
    error?: AiError.AiError
  ): void {
    if (entry.ended !== undefined) return
    entry.ended = ended
    entry.endMillis = endMillis
    entry.error = error
    this.open -= 1
    this[ended === "died" ? "failed" : ended] += 1
  }
}

/** An entry whose end is still to be noted. */
export type OpenEntry<Request> = {
  -readonly [Key in keyof Entry<Request>]: Entry<Request>[Key]
}
