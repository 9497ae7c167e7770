/** Compiles `src/` into an empty `dist/`. */
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, rmSync } from "node:fs"
import { join } from "node:path"

export const root = join(import.meta.dirname, "../..")

export const build = (): void => {
  rmSync(join(root, "dist"), { recursive: true, force: true })
  const compiler = [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"]
  const { status } = spawnSync(process.execPath, compiler, { cwd: root, stdio: "inherit" })
  if (status !== 0) throw new Error("src/ does not compile")
  const command = join(root, "dist/cli/main.js")
  if (existsSync(command)) chmodSync(command, 0o755)
}

if (import.meta.main) build()
