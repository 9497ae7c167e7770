/**
 * Remembers which ids a run has seen, in about 17 to 45 bytes for each id whatever its length.
 *
 * Ids are kept as the first 128 bits of their SHA-256, so two different ids are taken for one with a chance of less
 * than one in 10^20 for a billion ids.
 */
import { hash } from "node:crypto"

/** What is known of an id: that its answer is in the output, that a line of this input had it, or that the last run failed at it. */
export const answered = 1
export const read = 2
export const failed = 4

export type Mark = typeof answered | typeof read | typeof failed

export class IdSet {
  private capacity = 1024
  private words = new Uint32Array(this.capacity * 4)
  private marks = new Uint8Array(this.capacity)
  private count = 0

  /** Ids held. */
  get size(): number {
    return this.count
  }

  /** Adds a mark to an id and returns the marks it had before: 0 for an id that is new. */
  mark(id: string, mark: Mark): number {
    if (this.count * 4 > this.capacity * 3) this.grow()
    // As UTF-16, in which no two strings are alike: UTF-8 has one replacement for all lone surrogates.
    const digest = hash("sha256", Buffer.from(id, "utf16le"), "buffer")
    const key = [0, 4, 8, 12].map((offset) => digest.readUInt32LE(offset))
    const slot = this.find(key)
    const before = this.marks[slot] ?? 0
    if (before === 0) {
      this.words.set(key, slot * 4)
      this.count += 1
    }
    this.marks[slot] = before | mark
    return before
  }

  // Linear probing: the slot that holds the key, or the free one where it belongs.
  private find(key: ArrayLike<number>): number {
    let slot = (key[0] ?? 0) & (this.capacity - 1)
    while (this.marks[slot] !== 0 && !this.holds(slot, key)) slot = (slot + 1) & (this.capacity - 1)
    return slot
  }

  private holds(slot: number, key: ArrayLike<number>): boolean {
    const { words } = this
    const at = slot * 4
    return words[at] === key[0] && words[at + 1] === key[1] && words[at + 2] === key[2] && words[at + 3] === key[3]
  }

  private grow(): void {
    const { marks, words } = this
    this.capacity *= 2
    this.words = new Uint32Array(this.capacity * 4)
    this.marks = new Uint8Array(this.capacity)
    for (let slot = 0; slot < marks.length; slot++) {
      const mark = marks[slot] ?? 0
      if (mark === 0) continue
      const key = words.subarray(slot * 4, slot * 4 + 4)
      const target = this.find(key)
      this.words.set(key, target * 4)
      this.marks[target] = mark
    }
  }
}
