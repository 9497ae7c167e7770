/**
 * Keeps what a job failed with out of JSON and `console.log`, where its text stands for it.
 *
 * An error of a library may carry the request with its credentials, go round in a circle, or throw when it is written.
 */
import { Inspectable } from "effect"

// By a prototype, so that it is no field: neither listed nor compared.
const prototype: object = Object.create(Object.prototype, {
  toJSON: {
    value(this: object) {
      return { ...this, cause: undefined }
    }
  },
  [Inspectable.NodeInspectSymbol]: {
    value(this: { readonly cause?: unknown }) {
      return this.cause === undefined ? { ...this } : { ...this, cause: notShown }
    }
  }
})

// As Node stands for what it does not show. The cause is shown by itself.
const notShown = { [Inspectable.NodeInspectSymbol]: () => "[Cause]" }

/** Has JSON and `console.log` leave out the `cause` of plain data. */
export const withoutCause = <A extends { readonly cause?: unknown }>(data: A): A =>
  Object.setPrototypeOf(data, prototype)
