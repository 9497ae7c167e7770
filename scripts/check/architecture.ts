/**
 * Checks the rules of the house on source text: which folder may import what, no cycles, names, index files, package
 * exports, file length. Everything here is a pure function of the files given, so the rules can be tested on bad ones.
 */
import { posix } from "node:path"

export interface SourceFile {
  /** From the repository's root, with forward slashes: `src/policy/Retry.ts`. */
  readonly path: string
  readonly source: string
}

const library = [
  "core",
  "supervisor",
  "policy",
  "provider",
  "observability",
  "model",
  "durable",
  "messaging",
  "reasoning"
]
/** Runs the service and the command without a network. */
const offline = "testing/FaultyServer.ts"

/**
 * What each folder of `src/` may import from the others: a folder, or one file of it. The same table stands in
 * `docs/architecture.md`. It names folders that are still to come, too.
 */
export const mayImport: Readonly<Record<string, ReadonlyArray<string>>> = {
  core: [],
  supervisor: ["core"],
  policy: ["core"],
  provider: ["core"],
  observability: ["core"],
  model: ["core", "policy", "provider", "supervisor"],
  durable: ["core", "supervisor"],
  messaging: ["core", "supervisor", "durable"],
  reasoning: ["core", "model", "supervisor", "durable"],
  server: [...library, offline],
  promise: [...library, offline],
  cli: [...library, "server", "promise", offline],
  testing: library,
  "index.ts": library
}

const mayUseVendors = ["provider", "durable", "messaging", "server", "cli"]
const mayUseNode = [...mayUseVendors, "testing"]
/** Computes and reaches nothing, so every folder may use it: `hash`, which unlike Web Crypto answers at once. */
const mayUseHash = /^import \{ hash \} from "node:crypto"$/m
const emptyWords = ["utils", "common", "helpers", "types", "internal", "manager"]
const maxLines = 350

/** Says, one line each, which files of `src/` break which rule. */
export const sourceViolations = (files: ReadonlyArray<SourceFile>): ReadonlyArray<string> => {
  const paths = new Set(files.map((file) => file.path))
  return [
    ...files.flatMap((file) => [
      ...nameViolations(file),
      ...lengthViolations(file),
      ...indexViolations(file),
      ...importViolations(file, paths)
    ]),
    ...cycles(files)
  ]
}

/** Says where package.json's `exports` and the folders of `src/` that have an index differ. */
export const exportViolations = (
  files: ReadonlyArray<SourceFile>,
  exports: Readonly<Record<string, unknown>>
): ReadonlyArray<string> => {
  const folders = files.flatMap(({ path }) => /^src\/(?:([^/]+)\/)?index\.ts$/.exec(path)?.slice(1) ?? [])
  const expected = new Map(
    folders.map((folder) => {
      const at = folder === undefined ? "index" : `${folder}/index`
      const entry = { "holdfast-source": `./src/${at}.ts`, types: `./dist/${at}.d.ts`, default: `./dist/${at}.js` }
      return [folder === undefined ? "." : `./${folder}`, entry] as const
    })
  )
  const missing = [...expected.keys()]
    .filter((key) => !(key in exports))
    .map((key) => `package.json lacks export ${key}`)
  const extra = Object.keys(exports)
    .filter((key) => key !== "./package.json" && !expected.has(key))
    .map((key) => `package.json exports ${key}, which src/ does not have`)
  const wrong = [...expected].filter(
    ([key, entry]) => key in exports && JSON.stringify(exports[key]) !== JSON.stringify(entry)
  )
  return [...missing, ...extra, ...wrong.map(([key, entry]) => `export ${key} must be ${JSON.stringify(entry)}`)]
}

const offSwitches = [
  /\b(?:it|test|describe|suite|layer|live|effect|prop)\b[\w.]*\.(only|skip|todo|fails)\b/,
  /\b(?:ctx|context|t)\.(skip)\(/,
  /\b(only|skip|todo|fails): true\b/
]

/**
 * Says which tests are switched off or run alone. A test that needs a server may be left out when there is none, if
 * its name says so: `describe.skipIf(url === undefined)("PostgreSQL (needs HOLDFAST_POSTGRES)", …)`.
 */
export const testViolations = (files: ReadonlyArray<SourceFile>): ReadonlyArray<string> =>
  files.flatMap(({ path, source }) =>
    withoutComments(source)
      .split("\n")
      .flatMap((line, index, lines) => {
        const off = offSwitches.map((pattern) => pattern.exec(line)?.[1]).find((word) => word !== undefined)
        const conditional = /\.(skipIf|runIf)\(/.exec(line)?.[1]
        const at = `${path}:${index + 1}`
        if (off !== undefined) return [`${at} uses ${off}`]
        return conditional !== undefined && !/\(needs [^)]+\)/.test(line + (lines[index + 1] ?? ""))
          ? [`${at} uses ${conditional} without "(needs …)" in the name`]
          : []
      })
  )

/** Everything a file imports or re-exports, types and dynamic imports included; `undefined` for a computed import. */
export const importsOf = (source: string): ReadonlyArray<string | undefined> => {
  const code = withoutComments(source)
  const static_ = code.matchAll(/\b(?:import|export)\b[^"'`;()]*?\bfrom\s*["']([^"']+)["']/g)
  const bare = code.matchAll(/\bimport\s*["']([^"']+)["']/g)
  const dynamic = code.matchAll(/\bimport\s*\(\s*(?:["']([^"']+)["']\s*[,)])?/g)
  return [...static_, ...bare, ...dynamic].map((found) => found[1])
}

/** The same lines, without what is said in comments. */
export const withoutComments = (source: string): string =>
  source.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/.*|\/\*[\s\S]*?\*\//g,
    (found, text: string | undefined) => text ?? found.replace(/[^\n]/g, "")
  )

/** `policy` of `src/policy/Retry.ts`; the file's own name for files directly in `src/`. */
const folderOf = (path: string): string => path.split("/")[1] ?? ""

const nameViolations = ({ path }: SourceFile): ReadonlyArray<string> => {
  const words = path.replace(/\.ts$/, "").split(/[/.]/)
  const empty = words.filter((word) => emptyWords.includes(word.toLowerCase()))
  const known = folderOf(path) in mayImport
  return [
    ...empty.map((word) => `${path}: "${word}" says nothing; name it by what it does`),
    ...(known ? [] : [`${path}: DESIGN knows no src/${folderOf(path)}`])
  ]
}

const lengthViolations = ({ path, source }: SourceFile): ReadonlyArray<string> => {
  const lines = source.trimEnd().split("\n").length
  return lines < maxLines ? [] : [`${path}: ${lines} lines, which is two ideas (below ${maxLines})`]
}

const indexViolations = ({ path, source }: SourceFile): ReadonlyArray<string> => {
  if (!/^src\/([^/]+\/)?index\.ts$/.test(path)) return []
  const rest = withoutComments(source).replace(
    /\bexport\s+(?:type\s+)?(?:\*(?:\s+as\s+\w+)?|\{[^}]*\})\s+from\s*["'][^"']+["'];?/g,
    ""
  )
  return rest.trim() === "" ? [] : [`${path}: an index contains only re-exports`]
}

const importViolations = ({ path, source }: SourceFile, paths: ReadonlySet<string>): ReadonlyArray<string> => {
  const folder = folderOf(path)
  return importsOf(source).flatMap((specifier) => {
    if (specifier === undefined) return [`${path}: computed import`]
    if (specifier.startsWith("node:")) {
      return mayUseNode.includes(folder) || (specifier === "node:crypto" && mayUseHash.test(source))
        ? []
        : [`${path}: ${folder} may not import ${specifier}`]
    }
    if (!specifier.startsWith(".")) {
      const isEffect = /^(@effect\/|effect$|effect\/)/.test(specifier)
      const isSelf = /^holdfast($|\/)/.test(specifier)
      if (isSelf) return [`${path}: inside src/ import ${specifier} by its relative path`]
      return isEffect || mayUseVendors.includes(folder) ? [] : [`${path}: ${folder} may not import ${specifier}`]
    }
    const target = posix.join(posix.dirname(path), specifier)
    if (!paths.has(target)) return [`${path}: ${specifier} is not a file of src/`]
    const inside = target.slice("src/".length)
    const allowed = [folder, ...(mayImport[folder] ?? [])]
    return allowed.includes(folderOf(target)) || allowed.includes(inside)
      ? []
      : [`${path}: ${folder} may not import ${inside}`]
  })
}

/** Cycles of imports, at least one of each knot, written from the first of its files in alphabetical order. */
const cycles = (files: ReadonlyArray<SourceFile>): ReadonlyArray<string> => {
  const paths = new Set(files.map((file) => file.path))
  const edges = new Map(
    files.map(({ path, source }) => [
      path,
      importsOf(source).flatMap((specifier) => {
        const target = specifier?.startsWith(".") ? posix.join(posix.dirname(path), specifier) : undefined
        return target !== undefined && paths.has(target) ? [target] : []
      })
    ])
  )
  const found = new Set<string>()
  const done = new Set<string>()
  const visit = (path: string, trail: ReadonlyArray<string>): void => {
    const start = trail.indexOf(path)
    if (start >= 0) {
      const cycle = trail.slice(start)
      const first = cycle.indexOf(cycle.toSorted()[0] ?? "")
      found.add([...cycle.slice(first), ...cycle.slice(0, first), cycle[first]].join(" → "))
      return
    }
    if (done.has(path)) return
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  for (const path of edges.keys()) visit(path, [])
  return [...found].map((cycle) => `import cycle: ${cycle}`)
}
