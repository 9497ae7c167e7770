/** Runs the real command in a process of its own, against real servers, in a folder of its own. */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import { startServer } from "../../bench/measure/child.ts"

const root = join(import.meta.dirname, "../..")

/** 2,000 real requests. */
export const packages = join(root, "examples/data/packages.jsonl")

export const mainScript = ["--conditions=holdfast-source", join(root, "src/cli/main.ts")]

/** Starts the offline model for one test: see `examples/batch/server.ts` for its options. */
export const startModel = async (...args: ReadonlyArray<string>): Promise<string> => {
  const server = await startServer([join(root, "examples/batch/server.ts"), ...args])
  onTestFinished(() => server[Symbol.asyncDispose]())
  return `${server.url}/v1`
}

/** Starts the fast server for one test. */
export const startFast = async (latencyMillis = 0): Promise<string> => {
  const server = await startServer([new URL("./fastServer.ts", import.meta.url).pathname, String(latencyMillis)])
  onTestFinished(() => server[Symbol.asyncDispose]())
  return `${server.url}/v1`
}

export interface Line {
  readonly custom_id: string | null
  readonly response: { readonly status_code: number; readonly body: { readonly [key: string]: unknown } } | null
  readonly error: { readonly code: string; readonly message: string } | null
  readonly holdfast: {
    readonly code: string
    readonly message: string
    readonly line: number
    readonly attempts: number
  }
}

export interface Folder {
  readonly path: (name: string) => string
  readonly write: (name: string, text: string) => void
  readonly read: (name: string) => string
  /** The values of a JSONL file; none when it is not there. */
  readonly lines: (name: string) => ReadonlyArray<Line>
  /** Starts `holdfast` in this folder. */
  readonly start: (args: ReadonlyArray<string>, given?: Given) => Started
  /** Runs `holdfast` in this folder to its end. */
  readonly run: (args: ReadonlyArray<string>, given?: Given) => Promise<Ended>
}

/** What a command is given besides its arguments. The key of the environment is taken away unless it is given here. */
export interface Given {
  readonly stdin?: string
  readonly env?: NodeJS.ProcessEnv
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Started {
  readonly process: ChildProcess
  /** Completes when standard error has this text. */
  readonly says: (text: string) => Promise<void>
  readonly ended: Promise<Ended>
}

/** Makes an empty folder for one test. */
export const makeFolder = (): Folder => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-batch-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = (name: string) => join(folder, name)
  const read = (name: string) => readFileSync(path(name), "utf8")
  return {
    path,
    read,
    write: (name, text) => writeFileSync(path(name), text),
    lines: (name) =>
      existsSync(path(name))
        ? read(name)
            .split("\n")
            .slice(0, -1)
            .map((line) => JSON.parse(line))
        : [],
    start: (args, given) => start(folder, args, given),
    run: (args, given) => start(folder, args, given).ended
  }
}

const start = (cwd: string, args: ReadonlyArray<string>, { env, stdin = "" }: Given = {}): Started => {
  const child = spawn(process.execPath, [...mainScript, ...args], {
    cwd,
    env: { ...process.env, OPENAI_API_KEY: undefined, OPENAI_BASE_URL: undefined, ...env },
    stdio: "pipe"
  })
  child.stdin.on("error", () => undefined).end(stdin)
  let [stdout, stderr] = ["", ""]
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text))
  return {
    process: child,
    says: async (text) => {
      while (!stderr.includes(text)) {
        if (child.exitCode !== null) throw new Error(`it ended without saying ${text}: ${stderr}`)
        await once(child.stderr, "data")
      }
    },
    ended: once(child, "close").then(([code, signal]) => ({ code, signal, stdout, stderr }))
  }
}
