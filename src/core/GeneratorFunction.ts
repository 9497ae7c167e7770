/**
 * Tells generator functions from others. To call one runs nothing of it: it gives a generator that somebody has to read.
 */
export const is = (value: unknown): boolean => {
  if (typeof value !== "function") return false
  try {
    return names.has(Object.prototype.toString.call(value))
  } catch {
    // A proxy that cannot be looked at.
    return false
  }
}

const names = new Set(["[object GeneratorFunction]", "[object AsyncGeneratorFunction]"])
