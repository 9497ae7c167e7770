/**
 * Tells an error from an answer, where a server writes one into an answer that says yes.
 */
import { Predicate } from "effect"

type Fields = Readonly<Record<string, unknown>>

/** Tells an error from an answer. An error comes beside choices, too. */
export const isError = (chunk: Fields): boolean =>
  isSaid(chunk["error"]) || chunk["type"] === "error" || chunk["object"] === "error" || isBare(chunk)

/** Whether a value says anything. Some servers send an error with nothing in it beside a good answer. */
export const isSaid = (value: unknown, depth = 0): boolean =>
  Predicate.isObjectOrArray(value)
    ? depth > 4 || Object.values(value).some((each) => isSaid(each, depth + 1))
    : Boolean(value)

/** Some servers write the error itself, where others write the answer. */
const isBare = (chunk: Fields): boolean =>
  !Array.isArray(chunk["choices"]) &&
  (Predicate.isString(chunk["message"]) ||
    Predicate.isObject(chunk["base_resp"]) ||
    (Array.isArray(chunk["errors"]) && chunk["errors"].length > 0) ||
    ((isText(chunk["msg"]) || isText(chunk["error_msg"])) && codes.some((name) => Predicate.isNotNullish(chunk[name]))))

/** Where a bare error says which it is. */
const codes = ["code", "error_code", "status", "success"]

const isText = (value: unknown): boolean => Predicate.isString(value) && value !== ""
