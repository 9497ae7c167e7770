/**
 * Keeps items so that the first by some order is at hand; adding, and removing any item, take logarithmic time.
 *
 * Items that are added in order and only taken from the front, as most are, are a plain queue until the first exception:
 * then both take constant time. An item knows its place (`heapIndex`), so it can be in one heap at a time.
 */
export class Heap<Item extends { heapIndex: number }> {
  private items: Array<Item | undefined> = []
  private isQueue = true
  // While the items are a queue: how many places at the front are empty.
  private start = 0
  // How many places were cut off at the front: an item is at its `heapIndex` less this, so that none must be told.
  private cut = 0
  private readonly isBefore: (a: Item, b: Item) => boolean

  constructor(isBefore: (a: Item, b: Item) => boolean) {
    this.isBefore = isBefore
  }

  get size(): number {
    return this.items.length - this.start
  }

  get first(): Item | undefined {
    return this.items[this.start]
  }

  push(item: Item): void {
    const last = this.items.at(-1)
    if (last === undefined) this.isQueue = true
    else if (this.isQueue && this.isBefore(item, last)) this.endQueue()
    this.items.push(item)
    if (this.isQueue) item.heapIndex = this.items.length - 1 + this.cut
    else this.rise(item, this.items.length - 1)
  }

  /** Takes out an item that is in this heap. */
  remove(item: Item): void {
    if (this.isQueue && item === this.first) return this.shift(item)
    this.endQueue()
    const at = item.heapIndex - this.cut
    const last = this.items.pop()
    item.heapIndex = -1
    if (last === undefined || last === item) return
    this.rise(last, at)
    this.sink(last, last.heapIndex - this.cut)
  }

  /** Puts an item whose order has changed back into its place. */
  update(item: Item): void {
    if (this.size === 1) return
    this.endQueue()
    this.rise(item, item.heapIndex - this.cut)
    this.sink(item, item.heapIndex - this.cut)
  }

  private shift(item: Item): void {
    item.heapIndex = -1
    this.items[this.start++] = undefined
    // Moves the items once for each time that half of them were taken.
    if (this.start === this.items.length || (this.start >= 1_024 && this.start * 2 >= this.items.length)) this.cutOff()
  }

  // A sorted list is a heap already.
  private endQueue(): void {
    if (this.start > 0) this.cutOff()
    this.isQueue = false
  }

  private cutOff(): void {
    this.items = this.items.slice(this.start)
    this.cut += this.start
    this.start = 0
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
      const below = child.heapIndex - this.cut
      this.place(child, at)
      at = below
    }
    this.place(item, at)
  }

  private place(item: Item, at: number): void {
    this.items[at] = item
    item.heapIndex = at + this.cut
  }
}
