/**
 * Keeps what a job failed with out of JSON, where its text stands for it.
 *
 * An error of a library may carry the request with its credentials, go round in a circle, or throw when it is written.
 */

// By a prototype, so that it is no field: neither listed nor compared.
const prototype: object = Object.create(Object.prototype, {
  toJSON: {
    value(this: object) {
      return { ...this, cause: undefined }
    }
  }
})

/** Has JSON leave out the `cause` of plain data. */
export const withoutCause = <A extends { readonly cause?: unknown }>(data: A): A =>
  Object.setPrototypeOf(data, prototype)
