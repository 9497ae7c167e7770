/**
 * Cli: the command `holdfast`. `main.ts` is the program, `Holdfast.ts` the command with its subcommands.
 *
 * A subcommand is a folder: `batch/` is `holdfast batch`, with `batch/BatchCommand.ts` for its flags, `batch/BatchRun.ts` for its
 * work, and folders for reading requests (`batch/input/`), sending them (`batch/send/`), writing what came (`batch/output/`) and
 * telling about it (`batch/report/`).
 */
export * as BatchCommand from "./batch/BatchCommand.ts"
export * as BatchError from "./batch/BatchError.ts"
export type * as BatchEvent from "./batch/report/BatchEvent.ts"
export * as BatchRun from "./batch/BatchRun.ts"
export * as Counts from "./batch/report/Counts.ts"
export * as Holdfast from "./Holdfast.ts"
export * as ProgressBar from "./batch/report/ProgressBar.ts"
export * as Summary from "./batch/report/Summary.ts"
