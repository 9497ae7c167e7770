/**
 * Makes `examples/data/packages.jsonl`: 2,000 requests about Debian packages, one OpenAI Batch line each.
 *
 * The texts are real: the descriptions of Debian's package index, written by the packages' maintainers and shortened to
 * whole sentences. The choice is the same on every run over the same index: the packages whose names have the smallest
 * SHA-256. The committed file was made from Debian 12.15 (main, amd64).
 *
 * Needs `apt-cache`, with long descriptions in English in its index:
 * `apt-get update -o Acquire::Languages=en`, then `node scripts/data/packages.ts [apt-cache options]`.
 */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { writeFileSync } from "node:fs"

const count = 2_000
const longestDescription = 420
const target = new URL("../../examples/data/packages.jsonl", import.meta.url)

const aptCache = (...args: ReadonlyArray<string>): string =>
  execFileSync("apt-cache", [...process.argv.slice(2), ...args], { encoding: "utf8", maxBuffer: 512 * 1024 * 1024 })

/** Parses deb822 text: paragraphs of `Field: value` lines, continued by lines that start with a space. */
const parseParagraphs = (text: string): Array<Map<string, string>> =>
  text.split("\n\n").flatMap((paragraph) => {
    const fields = new Map<string, string>()
    let current = ""
    for (const line of paragraph.split("\n")) {
      if (line.startsWith(" ")) {
        fields.set(current, `${fields.get(current) ?? ""}\n${line.slice(1)}`)
      } else if (line.includes(": ")) {
        current = line.slice(0, line.indexOf(":"))
        fields.set(current, line.slice(line.indexOf(":") + 2))
      }
    }
    return fields.size === 0 ? [] : [fields]
  })

/** Keeps the prose of a long description: no lists, no blank-line dots, whole sentences up to the limit. */
const shorten = (description: string): string => {
  const lines = description.split("\n").slice(1)
  const prose = lines.filter((line) => !line.startsWith(" ") && line !== ".").join(" ")
  const sentences = prose.split(/(?<=[.!?])\s+(?=[A-Z0-9])/u)
  let text = ""
  for (const sentence of sentences) {
    if (text.length + sentence.length > longestDescription || sentence.endsWith(":")) break
    text = `${text} ${sentence}`.trim()
  }
  return text
}

const digest = (name: string) => createHash("sha256").update(name).digest("hex")

const names = [...aptCache("dumpavail").matchAll(/^Package: (.+)$/gmu)].map((match) => match[1] ?? "")
const candidates = [...new Set(names)]
  .filter((name) => !/-(?:dev|dbg|doc|data|common)$|^lib|^fonts-|l10n|-lang-/u.test(name))
  .toSorted((a, b) => (digest(a) < digest(b) ? -1 : 1))
  .slice(0, count * 2)

const lines: Array<string> = []
const seen = new Set<string>()
for (const fields of parseParagraphs(aptCache("show", "--no-all-versions", ...candidates))) {
  const name = fields.get("Package") ?? ""
  const description = shorten(fields.get("Description-en") ?? "")
  const isUsable = description.length >= 80 && !/transitional|dummy package|metapackage/iu.test(description)
  if (!isUsable || seen.has(name) || lines.length === count) continue
  seen.add(name)
  lines.push(
    JSON.stringify({
      custom_id: name,
      method: "POST",
      url: "/v1/chat/completions",
      body: {
        model: "gpt-5-mini",
        messages: [
          { role: "system", content: "You know the Debian archive. Answer with: section, dash, one sentence." },
          {
            role: "user",
            content:
              `Which section does the package "${name}" belong to, and in one sentence, ` +
              `what does it do?\n\n${description}`
          }
        ]
      }
    })
  )
}

if (lines.length < count) throw new Error(`only ${lines.length} usable descriptions: is the index complete?`)
writeFileSync(target, lines.map((line) => `${line}\n`).join(""))
console.log(`${lines.length} requests written to ${target.pathname}`)
