/** Runs the command `holdfast` on this process's arguments, and ends the process with its exit code. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Effect, Exit, Logger, References, Runtime } from "effect"
import { CliError, Command } from "effect/cli"
import { holdfast, version } from "../Holdfast.ts"

// A wrong use of the command is exit code 2, as with other setup errors.
const teardown: Runtime.Teardown = (exit, onExit) =>
  Exit.isFailure(exit) && CliError.isCliError(Cause.squash(exit.cause))
    ? onExit(2)
    : Runtime.defaultTeardown(exit, onExit)

Command.run(holdfast, { version }).pipe(
  // @effect-diagnostics-next-line strictEffectProvide:off
  Effect.provide(NodeServices.layer),
  Effect.provideService(Logger.LogToStderr, true),
  Effect.provideService(References.MinimumLogLevel, "Warn"),
  NodeRuntime.runMain({ teardown })
)
