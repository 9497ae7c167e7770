/**
 * Finds items by a key that many of them may share. A key without items takes no memory.
 */
export class Groups<Key, Item> {
  private readonly groups = new Map<Key, Set<Item>>()

  add(key: Key, item: Item): void {
    const group = this.groups.get(key)
    if (group === undefined) this.groups.set(key, new Set([item]))
    else group.add(item)
  }

  remove(key: Key, item: Item): void {
    const group = this.groups.get(key)
    if (group?.delete(item) === true && group.size === 0) this.groups.delete(key)
  }

  has(key: Key): boolean {
    return this.groups.has(key)
  }

  /** The items of a key as they are now, in the order in which they were added. */
  of(key: Key): ReadonlyArray<Item> {
    return Array.from(this.groups.get(key) ?? [])
  }
}
