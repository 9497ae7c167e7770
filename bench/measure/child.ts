/**
 * Runs Node scripts as measured child processes.
 *
 * The child is started with this file as `--import`, which writes its resource usage, peak memory included, to a file
 * when it exits.
 */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"

const usageFile = process.env["HOLDFAST_USAGE_FILE"]
if (usageFile !== undefined) {
  process.on("exit", () => writeFileSync(usageFile, JSON.stringify(process.resourceUsage())))
}

export interface Measured {
  readonly exitCode: number | null
  /** From the start of the process to its end. */
  readonly wallSeconds: number
  readonly peakMegabytes: number
  readonly cpuSeconds: number
  readonly stderr: string
}

/** Runs a script to its end. `args` are Node's own options, the script, and its arguments. */
export const measure = async (args: ReadonlyArray<string>): Promise<Measured> => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-usage-"))
  const file = join(folder, "usage.json")
  const start = performance.now()
  const child = spawn(process.execPath, ["--import", import.meta.filename, ...args], {
    env: { ...process.env, HOLDFAST_USAGE_FILE: file },
    stdio: ["ignore", "ignore", "pipe"]
  })
  const stderr: Array<string> = []
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr.push(text))
  const [exitCode] = await once(child, "close")
  const wallSeconds = (performance.now() - start) / 1000
  const usage: NodeJS.ResourceUsage = JSON.parse(readFileSync(file, "utf8"))
  rmSync(folder, { recursive: true })
  return {
    exitCode,
    wallSeconds,
    peakMegabytes: usage.maxRSS / 1024,
    cpuSeconds: (usage.userCPUTime + usage.systemCPUTime) / 1e6,
    stderr: stderr.join("")
  }
}

/** Starts a server script that prints `{"url":…}` first and ends when its standard input closes. */
export const startServer = async (
  args: ReadonlyArray<string>
): Promise<AsyncDisposable & { readonly url: string; readonly process: ChildProcess }> => {
  const server = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] })
  const [line] = await once(createInterface(server.stdout), "line")
  return {
    url: JSON.parse(String(line)).url,
    process: server,
    [Symbol.asyncDispose]: async () => {
      server.stdin.end()
      if (server.exitCode === null) await once(server, "exit")
    }
  }
}
