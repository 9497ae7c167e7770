/**
 * Gives the young generation of V8's heap its size while the process runs: see docs/decisions/0007.
 *
 * The flags that say how large it may become are read only when a process starts; how much it grows by at a time is read whenever it
 * grows.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8"

/** How often its first size, which is 1 MB, the young generation has. */
const growth = 8

/** Objects for a few of the first size are enough to make it grow. V8 may come to do so otherwise: then it is left as it is. */
const most = 200_000

/** Makes the young generation grow once, in about 5 ms, and keeps it at that size. */
export const settle = (): void => {
  const first = capacity()
  setFlagsFromString(`--semi-space-growth-factor=${growth}`)
  // It grows when much of it is still in use after it was collected.
  const kept: Array<object> = []
  while (capacity() <= first && kept.length < most) for (let n = 0; n < 2_000; n++) kept.push({ n })
  setFlagsFromString("--semi-space-growth-factor=1")
}

/** The bytes that fit into it. */
export const capacity = (): number => {
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space")
  return young === undefined ? 0 : young.space_available_size + young.space_used_size
}
