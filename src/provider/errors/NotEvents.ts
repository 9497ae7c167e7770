/**
 * Says that a streamed call was answered by something else than events: a page, an error, a whole answer.
 */
import * as ShownError from "../../core/ShownError.ts"

/** What `ErrorFacts` reads of it is what it reads of any answer. */
export class NotEvents extends ShownError.DataError("NotEvents")<{
  readonly statusCode: number
  readonly responseHeaders: Readonly<Record<string, string>>
  /** What came instead, where that is known. */
  readonly responseBody?: string
}> {
  override get message(): string {
    return "the answer to a streamed call is no event stream"
  }
}
