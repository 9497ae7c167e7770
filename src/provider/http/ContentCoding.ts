/**
 * Unpacks compressed answers as they arrive.
 */
import * as zlib from "node:zlib"

/** Takes packed bytes and gives unpacked ones to whoever made it. */
export interface Unpacker {
  /** Takes bytes; says whether it has room for more, and else calls `onRoom` when it has. */
  readonly write: (bytes: Uint8Array) => boolean
  readonly end: () => void
  /** Stops giving bytes until {@link resume}. */
  readonly pause: () => void
  readonly resume: () => void
  readonly close: () => void
}

/** Whom an unpacker tells. */
export interface Listener {
  readonly data: (bytes: Buffer) => void
  readonly end: () => void
  readonly fail: (error: Error) => void
  readonly onRoom: () => void
  /** Is told what comes out of one coding and goes into the next. */
  readonly between: (bytes: Buffer) => void
}

/** More than these nobody needs, and each may make a thousand bytes of one. */
const mostCodings = 2

/**
 * Makes what unpacks a body that was packed in these codings, one after the other. `undefined` when one is not known, or when
 * there are more than two.
 */
export const unpacker = (codings: ReadonlyArray<string>, listener: Listener): Unpacker | undefined => {
  const [first, second] = codings
  if (first === undefined || codings.length > mostCodings) return undefined
  if (second === undefined) return unpackerOf(first, listener)
  // What was packed last is unpacked first.
  const inner = unpackerOf(first, { ...listener, onRoom: () => outer?.resume() })
  const outer = unpackerOf(second, {
    ...listener,
    data: (bytes) => {
      listener.between(bytes)
      if (inner?.write(bytes) === false) outer?.pause()
    },
    end: () => inner?.end()
  })
  if (inner === undefined || outer === undefined) return undefined
  return {
    write: outer.write,
    end: outer.end,
    pause: inner.pause,
    resume: inner.resume,
    close: () => {
      outer.close()
      inner.close()
    }
  }
}

const unpackerOf = (coding: string, listener: Listener): Unpacker | undefined => {
  const name = coding.toLowerCase()
  const make = Object.hasOwn(streams, name) ? streams[name] : undefined
  if (make === undefined) return undefined
  let packed: ReturnType<typeof make> | undefined
  let given = 0
  const open = (first: Uint8Array) => {
    const stream = make(first)
    stream.on("data", listener.data)
    stream.once("end", () => {
      // Node reads the first of several zstd frames and drops the others, which would cut the answer in silence.
      if (endsItself.has(name) && stream.bytesWritten < given) listener.fail(new Error("more stands behind its end"))
      else listener.end()
    })
    stream.on("error", listener.fail)
    stream.on("drain", listener.onRoom)
    packed = stream
    return stream
  }
  return {
    write: (bytes) => {
      given += bytes.length
      return bytes.length === 0 || (packed ?? open(bytes)).write(bytes)
    },
    end: () => {
      if (packed === undefined) listener.end()
      else packed.end()
    },
    pause: () => packed?.pause(),
    resume: () => packed?.resume(),
    close: () => packed?.destroy()
  }
}

/** Codings whose end says that nothing follows. Behind a gzip others may follow, or zeros. */
const endsItself = new Set(["br", "zstd"])

/** A server that says "deflate" may mean the raw form, which its first byte tells. */
const isWrapped = (first: Uint8Array): boolean => ((first[0] ?? 0) & 0x0f) === 8

const gunzip = () => zlib.createGunzip()
const streams: {
  readonly [coding: string]:
    | ((
        first: Uint8Array
      ) => zlib.Gunzip | zlib.Inflate | zlib.InflateRaw | zlib.BrotliDecompress | zlib.ZstdDecompress)
    | undefined
} = {
  gzip: gunzip,
  "x-gzip": gunzip,
  deflate: (first) => (isWrapped(first) ? zlib.createInflate() : zlib.createInflateRaw()),
  br: () => zlib.createBrotliDecompress(),
  zstd: () => zlib.createZstdDecompress()
}
