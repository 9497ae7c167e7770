/**
 * Keeps those who stand in one line in their order, and finds the first of them whose key is not at its limit.
 */
import { Heap } from "../../core/queue/Heap.ts"

/** Who stands in line. */
export interface Standing {
  readonly key: string
  /** Where it stands: the lower first. */
  readonly number: number
  heapIndex: number
}

export class RoomLine<Item extends Standing> {
  private readonly keys = new Map<string, KeyLine<Item>>()
  // One for each key, ordered by the first of that key.
  private readonly heads = new Heap<KeyLine<Item>>((a, b) => a.number < b.number)

  get first(): Item | undefined {
    return this.heads.first?.items.first
  }

  get isEmpty(): boolean {
    return this.keys.size === 0
  }

  has(key: string): boolean {
    return this.keys.has(key)
  }

  push(item: Item): void {
    const line = this.keys.get(item.key)
    if (line !== undefined) {
      line.items.push(item)
      return this.heads.update(line)
    }
    const added = new KeyLine(item)
    this.keys.set(item.key, added)
    this.heads.push(added)
  }

  /** Takes out an item that is in this line. */
  remove(item: Item): void {
    const line = this.keys.get(item.key)
    if (line === undefined) return
    if (line.items.size > 1) {
      line.items.remove(item)
      return this.heads.update(line)
    }
    this.heads.remove(line)
    this.keys.delete(item.key)
  }

  /** The first whose key is one of these. Passes over keys, not over those who stand in line. */
  firstWhere(isOne: (key: string) => boolean): Item | undefined {
    const passed: Array<KeyLine<Item>> = []
    let head = this.heads.first
    while (head !== undefined && !isOne(head.key)) {
      passed.push(head)
      this.heads.remove(head)
      head = this.heads.first
    }
    for (const line of passed) this.heads.push(line)
    return head?.items.first
  }
}

class KeyLine<Item extends Standing> {
  readonly key: string
  readonly items = new Heap<Item>((a, b) => a.number < b.number)
  heapIndex = -1

  constructor(first: Item) {
    this.key = first.key
    this.items.push(first)
  }

  get number(): number {
    return this.items.first?.number ?? 0
  }
}
