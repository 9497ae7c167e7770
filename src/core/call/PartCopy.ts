/**
 * Copies the parts of an answer that several callers get, so that none of them writes into what the others get: those who
 * prepare the parameters of a tool call, or who hide words of a text, do it in place.
 */
import * as PlainData from "../PlainData.ts"

/** A part of one's own. */
export const of = <Part extends object>(part: Part): Part => (isFlat(part) ? { ...part } : PlainData.copy(part))

// Pieces of a text come by the thousand, and have nothing in them but texts.
const isFlat = (part: object): boolean => ("delta" in part || "text" in part) && !("metadata" in part)
