/**
 * Tells an error from an answer, where a server writes one into an answer that says yes.
 */
import { Predicate } from "effect"

type Fields = Readonly<Record<string, unknown>>

/** Tells an error from an answer. An error comes beside choices, too. */
export const isError = (chunk: Fields): boolean =>
  isSaid(chunk["error"]) ||
  chunk["type"] === "error" ||
  chunk["object"] === "error" ||
  isSaid(fieldOf(chunk["x_groq"], "error")) ||
  isCode(fieldOf(chunk["base_resp"], "status_code")) ||
  isBare(chunk)

/** What is to be said of an error: Groq names why it stopped in a field of its own. */
export const bodyOf = (chunk: Fields): unknown => {
  const error = fieldOf(chunk["x_groq"], "error")
  return isSaid(error) && !isSaid(chunk["error"]) ? { error } : chunk
}

/** Tells errors in a list, as Google has them, from whatever else a list may be. */
export const areErrors = (chunk: unknown): boolean =>
  Array.isArray(chunk) && chunk.some((each: unknown) => Predicate.isObject(each) && isError(each))

/** Whether a value says anything. Some servers send an error with nothing in it beside a good answer. */
export const isSaid = (value: unknown, depth = 0): boolean =>
  Predicate.isObjectOrArray(value)
    ? depth > 4 || Object.values(value).some((each) => isSaid(each, depth + 1))
    : Boolean(value)

/** Some servers write the error itself, where others write the answer. */
const isBare = (chunk: Fields): boolean =>
  !Array.isArray(chunk["choices"]) &&
  (Predicate.isString(chunk["message"]) ||
    (isText(chunk["detail"]) && !("usage" in chunk)) ||
    ["detail", "errors"].some((name) => Array.isArray(chunk[name]) && isSaid(chunk[name])) ||
    ((isText(chunk["msg"]) || isText(chunk["error_msg"])) && codes.some((name) => Predicate.isNotNullish(chunk[name]))))

/** Where a bare error says which it is. */
const codes = ["code", "error_code", "status", "success"]

/** MiniMax has the code 0 in good answers, too. */
const isCode = (value: unknown): boolean => isSaid(value) && value !== "0"

const fieldOf = (value: unknown, name: string): unknown =>
  Predicate.hasProperty(value, name) ? value[name] : undefined

const isText = (value: unknown): boolean => Predicate.isString(value) && value !== ""
