/**
 * Keeps errors from holding the work that made them.
 *
 * The engine writes an error's stack when somebody reads it. Until then it holds the frames themselves: functions, and with
 * them whatever these close over, an upload of the job for one. A record or an event that is kept would keep all of that.
 */

/** Makes errors that say where they come from by what they say: of these a stack would only name the supervisor's own files. */
export const without = <A>(make: () => A): A => {
  const { stackTraceLimit } = Error
  // Where it is frozen it stays as it is.
  Reflect.set(Error, "stackTraceLimit", 0)
  try {
    return make()
  } finally {
    Reflect.set(Error, "stackTraceLimit", stackTraceLimit)
  }
}

/** Has the engine write an error's stack, and let its frames go. Never throws, and calls no getter but the engine's own. */
export const release = (error: object): void => {
  try {
    const own = Object.getOwnPropertyDescriptor(error, "stack")
    if (own?.get !== undefined && own.get === engines) own.get.call(error)
  } catch {
    // What writes stacks in this process, as what reads source maps does, failed over this one.
  }
}

// Absent where it is a plain property, which is written when it is described.
const engines = Object.getOwnPropertyDescriptor(new Error(), "stack")?.get
