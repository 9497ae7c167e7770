/**
 * Adds to `package-lock.json` the optional packages of other platforms that the registry in use could not serve.
 *
 * `npm install` leaves out what it cannot look up, and `npm ci` then refuses the lock file for missing it, on every
 * platform. The versions are exact in the packages that want them; npm skips those that do not fit its machine. Run it
 * after `npm install`: `node scripts/package/completeLock.ts`.
 */
import { readFileSync, writeFileSync } from "node:fs"

interface Entry {
  readonly version?: string
  readonly dev?: boolean
  readonly optional?: boolean
  readonly optionalDependencies?: Record<string, string>
  readonly os?: ReadonlyArray<string>
  readonly cpu?: ReadonlyArray<string>
}

const path = new URL("../../package-lock.json", import.meta.url)
const lock: { packages: Record<string, Entry> } = JSON.parse(readFileSync(path, "utf8"))

const systems = ["darwin", "win32", "android", "freebsd", "openharmony", "openbsd", "netbsd", "sunos", "aix", "linux"]
const processors = ["arm64", "x64", "ia32", "arm", "ppc64", "riscv64", "s390x", "loong64", "mips64el", "wasm32"]

const added: Array<string> = []
for (const [where, entry] of Object.entries(lock.packages)) {
  for (const [name, wanted] of Object.entries(entry.optionalDependencies ?? {})) {
    const place = `node_modules/${name}`
    if (place in lock.packages || `${where}/${place}` in lock.packages) continue
    const platform = name === "fsevents" ? "darwin" : name
    const cpu = processors.find((processor) => platform.includes(processor))
    const os = systems.find((system) => platform.includes(system))
    lock.packages[place] = {
      version: wanted.replace(/^[~^]/, ""),
      ...(cpu === undefined ? {} : { cpu: [cpu] }),
      ...(entry.dev === true ? { dev: true } : {}),
      optional: true,
      ...(os === undefined ? {} : { os: [os] })
    }
    added.push(name)
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).toSorted(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`added ${added.length} packages${added.length === 0 ? "" : `: ${added.join(", ")}`}`)
