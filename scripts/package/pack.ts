/** Builds the package, packs it and has publint look at the tarball. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { build, root } from "./build.ts"

/** Builds and packs into `folder`; returns the tarball's path. */
export const pack = (folder: string): string => {
  build()
  const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", folder]
  const output = execFileSync("npm", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })
  return join(folder, /"filename": "([^"]+)"/.exec(output)?.[1] ?? "")
}

/** What publint finds in a tarball, one line each. Suggestions count too: there is no reason to leave one. */
const lint = async (tarball: string): Promise<ReadonlyArray<string>> => {
  const { buffer, byteOffset, byteLength } = readFileSync(tarball)
  const { messages, pkg } = await publint({
    strict: true,
    pack: { tarball: buffer.slice(byteOffset, byteOffset + byteLength) }
  })
  return messages.map((message) => `${message.type}: ${formatMessage(message, pkg, { color: false })}`)
}

if (import.meta.main) {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-pack-"))
  try {
    const problems = await lint(pack(folder))
    for (const problem of problems) console.error(problem)
    if (problems.length > 0) process.exitCode = 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
