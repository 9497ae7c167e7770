/**
 * Sees bytes as Node's `Buffer`, without copying them. Types that users see name none: they may have no types of Node.
 */
export const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
