/**
 * Kills a process that keeps jobs in a file, again and again, and looks after each time whether the file has all that was
 * acknowledged.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { createInterface } from "node:readline"
import { Effect } from "effect"
import { JobStore, Sqlite } from "holdfast/durable"

/** What was found. */
export interface Found {
  readonly kills: number
  /** Lines that the killed processes said. */
  readonly acknowledged: number
  /** One sentence for each that is not in the file, or is otherwise there than it was said. */
  readonly broken: ReadonlyArray<string>
}

export interface Plan {
  readonly kills: number
  readonly host: "thread" | "main"
  /** Where the files are made. Default: where the system keeps what is temporary. */
  readonly within?: string
  /** How many lines a writer says at most before it is killed. Default 2,000. */
  readonly lines?: number
  /** Gives numbers from 0 up to 1. */
  readonly random: () => number
  /** Told after each kill. */
  readonly each?: (found: Found) => void
}

/** What was said of a job, and how many kills there had been when it was submitted. */
export interface Said {
  readonly killsBefore: number
  claim: number
  recorded: number
  ended: number | undefined
}

/** How many kills one file lives through. */
const killsOfFile = 20

/** Kills so many times. */
export const run = async ({
  each,
  host,
  kills,
  lines: most = 2_000,
  random,
  within = tmpdir()
}: Plan): Promise<Found> => {
  const broken: Array<string> = []
  let acknowledged = 0
  for (let done = 0; done < kills;) {
    const folder = mkdtempSync(join(within, "holdfast-crash-"))
    try {
      const path = join(folder, "jobs.db")
      const said = new Map<string, Said>()
      for (let ofFile = 0; ofFile < killsOfFile && done < kills; ofFile++) {
        const lines = await killed(path, host, done, most, random)
        acknowledged += lines.length
        for (const line of lines) note(said, line, ofFile)
        broken.push(...(await check(path, said, ofFile + 1)).map((what) => `kill ${done + 1}: ${what}`))
        done++
        each?.({ kills: done, acknowledged, broken })
      }
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
  return { kills, acknowledged, broken }
}

/** Starts a writer and kills it; gives the lines it has said by then. */
const killed = (
  path: string,
  host: string,
  round: number,
  mostLines: number,
  random: () => number
): Promise<ReadonlyArray<string>> =>
  new Promise((resolve, reject) => {
    const writer = join(import.meta.dirname, "crashWriter.ts")
    const child = spawn(process.execPath, ["--conditions=holdfast-source", writer, path, host, String(round)], {
      stdio: ["ignore", "pipe", "pipe"]
    })
    const lines: Array<string> = []
    let errors = ""
    let isKilled = false
    const kill = () => {
      isKilled = true
      child.kill("SIGKILL")
    }
    // In the middle of starting up, after so many lines of work, or while it closes in order.
    const way = random()
    const inStartUp = way < 0.25
    const most = Math.floor(random() * mostLines)
    child.stderr.on("data", (data) => (errors += data))
    createInterface(child.stdout).on("line", (line) => {
      if (line === "up") {
        if (inStartUp) setTimeout(kill, random() * 400)
        return
      }
      // The last line may be cut.
      if (/^\w+ [\d-]+( \d+)?$/.test(line)) lines.push(line)
      if (inStartUp || isKilled || lines.length < most) return
      if (way < 0.8) return kill()
      isKilled = true
      child.kill("SIGTERM")
      setTimeout(() => child.kill("SIGKILL"), random() * 20)
    })
    child.on("error", reject)
    child.on("close", (code, signal) =>
      isKilled || signal === "SIGKILL" ? resolve(lines) : reject(new Error(`the writer ended with ${code}: ${errors}`))
    )
  })

const note = (said: Map<string, Said>, line: string, killsBefore: number): void => {
  const [what, id = "", claim = "0"] = line.split(" ")
  const job = said.get(id) ?? { killsBefore, claim: 0, recorded: 0, ended: undefined }
  said.set(id, job)
  if (what === "started") job.claim = Number(claim)
  if (what === "recorded") job.recorded = Number(claim)
  if (what === "ended") job.ended = Number(claim)
}

/** Says what is not in a file that was said, or is otherwise there. */
export const check = (path: string, said: ReadonlyMap<string, Said>, kills: number): Promise<ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const store = yield* JobStore.JobStore
    const found: Array<string> = []
    const jobs = new Map<string, JobStore.Job>()
    let before: number | undefined
    do {
      const page: JobStore.Page = yield* store.list({}, { limit: 10_000, before })
      for (const job of page.jobs) jobs.set(job.id, job)
      before = page.next
    } while (before !== undefined)
    let looked = 0
    for (const [id, { claim, ended, killsBefore, recorded }] of said) {
      const job = jobs.get(id)
      if (job === undefined) {
        found.push(`${id} was acknowledged and is lost`)
        continue
      }
      if (job.claims < claim) found.push(`${id} was started with claim ${claim}, and has ${job.claims}`)
      if (ended !== undefined && (job.state !== "completed" || job.result !== String(ended))) {
        found.push(`${id} had ended with ${ended}, and is ${job.state} with ${job.result}`)
      }
      const most = 1 + kills - killsBefore
      if (job.claims > most) found.push(`${id} was started ${job.claims} times in ${most - 1} kills`)
      // Reading everything of every job would take most of the time.
      if (looked++ % 20 > 0) continue
      const events = yield* store.events(id, 0)
      if (events.some(({ sequence }, index) => sequence !== index + 1)) found.push(`the events of ${id} have gaps`)
      const steps = yield* store.steps(id)
      if (recorded > 0 && !steps.some(({ name }) => name === `step-${recorded}`)) {
        found.push(`${id} had recorded step ${recorded}, which is lost`)
      }
      if (claim > 0 && job.state !== "running") {
        const token = { id, claim }
        const [answer] = yield* store.settle([{ token, outcome: { _tag: "Failed", error: "0" } }])
        if (answer !== "stale") found.push(`${id} was ${answer} by a token of before`)
      }
    }
    return found
  }).pipe(
    Effect.provide(Sqlite.layer({ path, host: "main", maxLost: 1_000_000 })),
    Effect.map((found) => [...found, ...integrity(path)]),
    Effect.runPromise
  )

const integrity = (path: string): ReadonlyArray<string> => {
  const database = new DatabaseSync(path)
  try {
    return database
      .prepare("PRAGMA integrity_check")
      .all()
      .flatMap(({ integrity_check }) => (integrity_check === "ok" ? [] : [String(integrity_check)]))
  } finally {
    database.close()
  }
}
