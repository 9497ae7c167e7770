/**
 * Keeps items so that the first by some order is at hand; adding, and removing any item, take logarithmic time.
 *
 * An item knows its place (`heapIndex`), so it can be in one heap at a time.
 */
export class Heap<Item extends { heapIndex: number }> {
  private readonly items: Array<Item> = []
  private readonly isBefore: (a: Item, b: Item) => boolean

  constructor(isBefore: (a: Item, b: Item) => boolean) {
    this.isBefore = isBefore
  }

  get size(): number {
    return this.items.length
  }

  get first(): Item | undefined {
    return this.items[0]
  }

  push(item: Item): void {
    this.items.push(item)
    this.rise(item, this.items.length - 1)
  }

  /** Takes out an item that is in this heap. */
  remove(item: Item): void {
    const at = item.heapIndex
    const last = this.items.pop()
    item.heapIndex = -1
    if (last === undefined || last === item) return
    this.rise(last, at)
    this.sink(last, last.heapIndex)
  }

  /** Puts an item whose order has changed back into its place. */
  update(item: Item): void {
    this.rise(item, item.heapIndex)
    this.sink(item, item.heapIndex)
  }

  private rise(item: Item, from: number): void {
    let at = from
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = this.items[above]
      if (parent === undefined || !this.isBefore(item, parent)) break
      this.place(parent, at)
      at = above
    }
    this.place(item, at)
  }

  private sink(item: Item, from: number): void {
    let at = from
    for (;;) {
      const left = this.items[2 * at + 1]
      const right = this.items[2 * at + 2]
      const child = right !== undefined && left !== undefined && this.isBefore(right, left) ? right : left
      if (child === undefined || !this.isBefore(child, item)) break
      const below = child.heapIndex
      this.place(child, at)
      at = below
    }
    this.place(item, at)
  }

  private place(item: Item, at: number): void {
    this.items[at] = item
    item.heapIndex = at
  }
}
