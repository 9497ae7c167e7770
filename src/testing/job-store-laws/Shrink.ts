/**
 * Makes a program smaller in every way that leaves it a program, the boldest ways first.
 */
import { fewerOrLess, without } from "../laws/Search.ts"
import type { Command, Program, Submission } from "./Program.ts"

/** Programs that have a little less of everything. */
export function* smaller(program: Program): Iterable<Program> {
  const { commands } = program
  for (let size = commands.length >> 1; size > 1; size >>= 1) {
    for (let from = 0; from + size <= commands.length; from += size) {
      yield { ...program, commands: commands.toSpliced(from, size) }
    }
  }
  for (const less of fewerOrLess(commands, smallerCommand)) yield { ...program, commands: less }
}

function* smallerCommand(command: Command): Iterable<Command> {
  if (command.do === "submit" || command.do === "submit twice" || command.do === "crash during") {
    for (const jobs of fewerOrLess(command.jobs, smallerJob)) if (jobs.length > 0) yield { ...command, jobs }
  }
  if (command.do === "submit twice") yield { do: "submit", jobs: command.jobs }
  if (command.do === "claim twice") yield { do: "claim", want: command.want }
  if (command.do === "settle") for (const ends of without(command.ends)) if (ends.length > 0) yield { ...command, ends }
  if (command.do === "record") for (const says of without(command.says)) if (says.length > 0) yield { ...command, says }
  if (command.do === "renew") for (const tokens of without(command.tokens)) yield { ...command, tokens }
}

function* smallerJob(job: Submission): Iterable<Submission> {
  for (const option of ["key", "priority", "delay", "idempotencyKey", "metadata"] as const) {
    if (job[option] === undefined) continue
    const { [option]: _, ...rest } = job
    yield rest
  }
  if (job.text !== 0) yield { ...job, text: 0 }
}
