/**
 * Turns the code blocks of README, docs and doc comments into test files under `.doctest/`.
 *
 * A fence marked `ts run` becomes a module of its own, on the same line numbers as its source, that a vitest test
 * named FILE:LINE imports. In it `expression // => expected` is an assertion. Run as a script it also reports every
 * block that nothing would check.
 */
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")
const target = join(root, ".doctest")

export interface Block {
  readonly file: string
  /** The line of the opening fence, from 1; the code begins on the next one. */
  readonly line: number
  /** What stands behind the fence: `ts run`, `sh`, … */
  readonly info: string
  readonly code: ReadonlyArray<string>
  /** False when the file ended before the fence did. */
  readonly closed: boolean
}

/** Finds the fenced blocks of a Markdown file, or of the doc comments of a TypeScript file. */
export const blocksOf = (file: string, text: string): ReadonlyArray<Block> => {
  const lines = file.endsWith(".ts") ? docLines(text) : text.split("\n")
  const blocks: Array<Block> = []
  for (let start = 0; start < lines.length; start++) {
    const fence = /^(\s*)(`{3,}|~{3,})\s*(.*?)\s*$/.exec(lines[start] ?? "")
    if (fence === null) continue
    const [, indent = "", marks = "", info = ""] = fence
    let end = start + 1
    while (end < lines.length && !isClosing(lines[end] ?? "", marks)) end++
    const code = lines.slice(start + 1, end).map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line))
    blocks.push({ file, line: start + 1, info, code, closed: end < lines.length })
    start = end
  }
  return blocks
}

const isClosing = (line: string, marks: string): boolean => {
  const trimmed = line.trim()
  return trimmed.length >= marks.length && trimmed === marks.charAt(0).repeat(trimmed.length)
}

/** The text of doc comments on their own lines, everything else blank. */
const docLines = (source: string): ReadonlyArray<string> => {
  let inside = false
  return source.split("\n").map((line) => {
    if (!inside && /^\s*\/\*\*/.test(line)) inside = true
    else if (inside && !/^\s*\*\//.test(line)) return line.replace(/^\s*\* ?/, "")
    if (line.includes("*/")) inside = false
    return ""
  })
}

/** Node warns once that its TypeScript parser is experimental; every test run would begin with that line. */
const quietly = (action: () => void): void => {
  const { emitWarning } = process
  process.emitWarning = () => {}
  action()
  process.emitWarning = emitWarning
}

const marker = /^(.*?)\s*\/\/ => (.+)$/

/** Writes a block as a module: its code on its own lines, each `// =>` an assertion. Throws where one has no expression. */
export const translate = (block: Block): string => {
  const code = [...block.code]
  const asserted: Array<number> = []
  let from = 0
  code.forEach((text, at) => {
    const found = marker.exec(text)
    if (found === null) return
    const [, before = "", expected = ""] = found
    const line = block.line + 1 + at
    const last = before.trim() === "" ? at - 1 : at
    code[at] = before
    const start = findStart(code, from, last)
    if (start === undefined) {
      throw new SyntaxError(`${block.file}:${line}: there is no expression or declaration in front of // =>`)
    }
    const name = /^\s*(?:const|let) (\w+)/.exec(code[start] ?? "")?.[1]
    const nested = /^\s/.test(code[start] ?? "")
    const assert = (actual: string) =>
      `__block.is(${line}, ${nested ? actual : `await ${actual}`}, () => (${expected}))`
    if (name === undefined) {
      const expression = withoutSemicolon(code.slice(start, last + 1).join("\n"))
      code.splice(start, last - start + 1, ...`;${assert(`(${expression})`)}`.split("\n"))
    } else code[last] = `${code[last]}; ${assert(name)}`
    asserted.push(line)
    from = at + 1
  })
  const definesTests = isTestFile(block)
  const header = [
    `import { assertionsOf as __assertionsOf } from "../scripts/check/assertion.ts"`,
    definesTests ? `import { afterAll as __afterAll } from "vitest"` : "",
    `const __block = __assertionsOf(${JSON.stringify(block.file)}, ${JSON.stringify(asserted)})`
  ]
  const footer = definesTests ? "__afterAll(() => __block.allRan())" : "__block.allRan()"
  return `${header.join("; ")}${"\n".repeat(block.line)}${code.join("\n")}\n;${footer}\nexport {}\n`
}

/** The first line of the shortest run of lines up to `last` that is an expression of its own, or a declaration. */
const findStart = (code: ReadonlyArray<string>, from: number, last: number): number | undefined => {
  for (let start = last; start >= from; start--) {
    const text = code.slice(start, last + 1).join("\n")
    const isPart = start > from && isUnfinished(code[start - 1] ?? "")
    if (text.trim() !== "" && !isPart && (isExpression(text) || isDeclaration(text))) return start
  }
  return undefined
}

const isUnfinished = (line: string): boolean => !/^\s*\/\/|\*\/\s*$/.test(line) && /[-=+*/%&|?:<>,([.]\s*$/.test(line)
const isDeclaration = (text: string): boolean => /^\s*(?:const|let) \w+/.test(text) && parses(`${text}\n`)
const isExpression = (text: string): boolean => parses(`return (\n${withoutSemicolon(text)}\n)`)
const withoutSemicolon = (text: string): string => text.replace(/^\s*;/, "")

quietly(() => stripTypeScriptTypes(""))

const parses = (body: string): boolean => {
  try {
    stripTypeScriptTypes(`async function* block() {\n${body}\n}`)
    return true
  } catch {
    return false
  }
}

const isRun = (block: Block): boolean => /^ts\s+run$/.test(block.info)

/** A block that imports vitest defines tests of its own, so it is a test file and not the body of a test. */
const isTestFile = (block: Block): boolean => block.code.some((line) => /from "(@effect\/)?vitest"/.test(line))

/** Says, one line each, what is wrong with a block: nobody would check it, or it names a command that is not there. */
export const problemsOf = (block: Block, scripts: ReadonlySet<string>): ReadonlyArray<string> => {
  const at = `${block.file}:${block.line}`
  if (!block.closed) return [`code block never closed at ${at}`]
  if (block.info === "") return [`code block without a language at ${at}`]
  if (/^(sh|bash|shell|console)$/.test(block.info)) return shellProblems(block, scripts)
  if (!/^(ts|tsx|typescript|mts|js|jsx|mjs|javascript)\b/.test(block.info)) return []
  if (!isRun(block)) return [`unexecuted code block at ${at}: mark it "ts run"`]
  try {
    translate(block)
    return []
  } catch (error) {
    return [String(error)]
  }
}

const shellProblems = (block: Block, scripts: ReadonlySet<string>): ReadonlyArray<string> =>
  block.code.flatMap((text, index) => {
    const at = `${block.file}:${block.line + 1 + index}`
    const [command = "", first = "", second = ""] = text
      .replace(/^\s*\$ /, "")
      .replace(/^(\w+=\S+\s+)+/, "")
      .trim()
      .split(/\s+/)
    if (command === "npm" && ["start", "test"].includes(first))
      return scripts.has(first) ? [] : [`no such npm script: ${first} at ${at}`]
    if (command === "npm" && first === "run")
      return scripts.has(second) ? [] : [`no such npm script: ${second} at ${at}`]
    const file = [first, second].find((word) => /^[\w./-]+\.ts$/.test(word))
    return file !== undefined && !existsSync(join(root, file)) ? [`no such file: ${file} at ${at}`] : []
  })

const allBlocks = (): ReadonlyArray<Block> =>
  globSync(["README.md", "CONTRIBUTING.md", "docs/**/*.md", "src/**/*.ts"], { cwd: root })
    .toSorted()
    .flatMap((file) => blocksOf(file, readFileSync(join(root, file), "utf8")))

/** Writes the test files, touching only those that changed. Blocks that do not translate are left to `problemsOf`. */
export const write = (): void => {
  const files = new Map<string, string>()
  const groups = new Map<string, Array<string>>()
  for (const block of allBlocks().filter(isRun)) {
    const name = `${block.file.replaceAll("/", "--")}--${block.line}`
    const path = isTestFile(block) ? `${name}.test.ts` : `${name}.ts`
    files.set(path, moduleOf(block))
    if (isTestFile(block)) continue
    const group = block.file
      .split("/")
      .slice(0, block.file.startsWith("src/") ? 2 : 1)
      .join("--")
    const test = `it(${JSON.stringify(`${block.file}:${block.line}`)}, async () => void (await import("./${path}")))`
    groups.set(group, [...(groups.get(group) ?? []), test])
  }
  for (const [group, tests] of groups) {
    files.set(`${group}.test.ts`, `import { it } from "vitest"\n\n${tests.join("\n")}\n`)
  }
  mkdirSync(target, { recursive: true })
  for (const name of readdirSync(target)) {
    if (!files.has(name)) rmSync(join(target, name), { recursive: true, force: true })
  }
  for (const [name, text] of files) {
    const path = join(target, name)
    if (!existsSync(path) || readFileSync(path, "utf8") !== text) writeFileSync(path, text)
  }
}

const moduleOf = (block: Block): string => {
  try {
    return translate(block)
  } catch (error) {
    return `throw new SyntaxError(${JSON.stringify(String(error))})\nexport {}\n`
  }
}

if (import.meta.main) {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
  const scripts = new Set(Object.keys(manifest.scripts))
  const problems = allBlocks().flatMap((block) => problemsOf(block, scripts))
  for (const problem of problems) console.error(problem)
  write()
  if (problems.length > 0) process.exitCode = 1
}
