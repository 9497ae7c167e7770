/** `holdfast/supervisor`, but every supervisor that is made by its layers has a single slot. */
import { Supervisor as Real } from "holdfast/supervisor"

export * from "holdfast/supervisor"

/** How many layers were asked for. */
export let layers = 0

/** @public The programs of the page import it in place of the real one. */
export const Supervisor = {
  ...Real,
  layer: <R>(options?: Real.Options<R>) => {
    layers++
    return Real.layer({ ...options, concurrency: 1 })
  },
  layerConfig: <R>(options?: Real.Options<R> & { readonly prefix?: string | undefined }) => {
    layers++
    return Real.layerConfig({ ...options, concurrency: 1 })
  }
}
