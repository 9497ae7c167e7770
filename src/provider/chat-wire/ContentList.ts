/**
 * Gathers the content of a message: a text, or a list when more than text stands in it.
 */
type Item = Readonly<Record<string, unknown>>

export class ContentList {
  private readonly items: Array<Item> = []
  /** All of its text, if there was any. */
  text: string | undefined
  private half: string | undefined
  private isList = false

  /** Adds text, to the one before when nothing stands between. */
  addText(text: string): void {
    this.text = (this.text ?? "") + text
    this.half = (this.half ?? "") + text
  }

  /** Adds what is no text. */
  add(item: Item): void {
    this.flush()
    this.items.push(item)
    this.isList = true
  }

  get isEmpty(): boolean {
    return this.text === undefined && !this.isList
  }

  /** The text, the list where there is more, or `undefined`. `more`: items that come last, and make it a list. */
  value(more: ReadonlyArray<unknown> = []): unknown {
    if (!this.isList && more.length === 0) return this.text
    this.flush()
    return [...this.items, ...more]
  }

  private flush(): void {
    if (this.half !== undefined) this.items.push({ type: "text", text: this.half })
    this.half = undefined
  }
}
