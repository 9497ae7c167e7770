/** Values that a program may fail with and that nobody can print without care, each made anew. */
const trap = (): never => {
  throw new Error("trap")
}

export const hostile: Readonly<Record<string, () => unknown>> = {
  "an error whose message throws": () => Object.defineProperty(new Error("x"), "message", { get: trap }),
  "an error whose name throws": () => Object.defineProperty(new Error("x"), "name", { get: trap }),
  "an error whose stack throws": () => Object.defineProperty(new Error("x"), "stack", { get: trap }),
  "an error whose cause throws": () => Object.defineProperty(new Error("x"), "cause", { get: trap }),
  "an error whose message is a symbol": () => Object.assign(new Error("x"), { message: Symbol("m") }),
  "an error whose message is an object": () => Object.assign(new Error("x"), { message: { toString: trap } }),
  "an error that is its own cause": () => {
    const error = new Error("x")
    return Object.assign(error, { cause: error })
  },
  "a cause 20,000 deep": () => {
    let error = new Error("root")
    for (let n = 0; n < 20_000; n++) error = new Error("wrapped", { cause: error })
    return error
  },
  "a revoked proxy": () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  },
  "an error behind a proxy of traps": () =>
    new Proxy(new Error("x"), { get: trap, getPrototypeOf: trap, has: trap, ownKeys: trap }),
  "a revoked proxy of a function": () => {
    const { proxy, revoke } = Proxy.revocable(() => {}, {})
    revoke()
    return proxy
  },
  "an object without a prototype": () => Object.create(null),
  "an object whose toString and toJSON throw": () => ({ toString: trap, toJSON: trap, [Symbol.toPrimitive]: trap }),
  "an object that holds itself": () => {
    const self: Record<string, unknown> = {}
    return Object.assign(self, { self })
  },
  "an array that holds itself": () => {
    const self: Array<unknown> = []
    self.push(self, self)
    return self
  },
  "an invalid date": () => new Date(Number.NaN),
  "a text of ten million characters": () => "x".repeat(10_000_000),
  "an error of ten million characters": () => new Error("x".repeat(10_000_000)),
  "half a character": () => "\ud800",
  "half a character at the cut": () => `${"x".repeat(1_998)}\u{1f600}${"y".repeat(10)}`,
  "a big integer": () => 10n ** 50n,
  "a symbol": () => Symbol("s"),
  undefined: () => undefined,
  null: () => null,
  "a function": () => trap,
  "an empty text": () => ({ message: "" })
}
