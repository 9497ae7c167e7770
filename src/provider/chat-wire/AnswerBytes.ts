/**
 * Remembers which bytes the parts of an answer were read from, cut where events end.
 */
import type { Response } from "effect/ai"
import * as WireBytes from "../../core/call/WireBytes.ts"
import { Lines } from "../http/Lines.ts"
import { Pieces } from "../http/Pieces.ts"

/** The bytes of a streamed answer. */
export class AnswerBytes {
  private readonly recorder = new WireBytes.Recorder()
  /** Bytes up to the last end of an event, which is an empty line, and those behind it. */
  private readonly ended = new Pieces()
  private readonly begun = new Pieces()
  private end = 0
  /** Each byte is read as one character: the same lines as those of the events. */
  private readonly lines = new Lines((_, from, to, next) => {
    if (from === to) this.end = next
  })

  add(bytes: Buffer): void {
    this.end = 0
    this.lines.feed(bytes.toString("latin1"))
    const { end } = this
    if (end > 0) {
      this.ended.add(this.begun.take())
      this.ended.add(bytes.subarray(0, end))
    }
    if (end < bytes.length) this.begun.add(bytes.subarray(end))
  }

  /** The bytes since the last time brought these parts. What begins an event that is not there yet waits for the next. */
  give(parts: ReadonlyArray<Response.StreamPartEncoded>, isLast: boolean): void {
    if (parts.length === 0) return
    if (isLast) this.ended.add(this.begun.take())
    this.recorder.read(this.ended.take(), parts)
  }
}

/** The bytes of an answer that is given whole. */
export class WholeBytes {
  private readonly all = new Pieces()

  add(bytes: Buffer): void {
    this.all.add(bytes)
  }

  /** All bytes brought the parts. */
  give(parts: ReadonlyArray<Response.PartEncoded>): void {
    new WireBytes.Recorder().read(this.all.take(), parts)
  }
}
