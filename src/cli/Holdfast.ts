/**
 * The command `holdfast`, to be run as it is or put into a command of your own.
 */
import { Command } from "effect/cli"
import { batch } from "./batch/BatchCommand.ts"

/** The package's version. */
export const version = "0.1.0"

/** The command with all its subcommands. */
export const holdfast = Command.make("holdfast").pipe(
  Command.withDescription("Model calls and background jobs, supervised"),
  Command.withSubcommands([batch])
)
