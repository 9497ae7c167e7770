import { existsSync, globSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { read } from "./pages.ts"

const root = join(import.meta.dirname, "../..")
const pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...globSync("docs/**/*.md", { cwd: root })]

/** The links of a page to files of this repository: from its folder, and to a heading there if it names one. */
const linksOf = (page: string) =>
  Array.from(
    read(page)
      .replaceAll(/^(`{3,}).*?^\1/gms, "")
      .matchAll(/\]\(([^)\s]+)\)/g),
    ([, link = ""]) => link
  ).flatMap((link) => {
    if (/^\w+:/.test(link)) return []
    const [path = "", anchor] = link.split("#")
    return [{ link, target: path === "" ? page : join(dirname(page), path), anchor }]
  })

/** A heading's anchor, as GitHub makes it. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-")

describe("the documentation", () => {
  it.each(pages)("%s links to nothing that is not there", (page) => {
    for (const { anchor, link, target } of linksOf(page)) {
      assert.isTrue(existsSync(join(root, target)), link)
      if (anchor === undefined) continue
      const anchors = Array.from(read(target).matchAll(/^#+ (.+)$/gm), ([, heading = ""]) => anchorOf(heading))
      assert.include(anchors, anchor, link)
    }
  })

  it("has no page that the README does not name, by itself or with its folder", () => {
    const named = linksOf("README.md").map(({ target }) => target)
    const folders = named.filter((target) => statSync(join(root, target)).isDirectory())
    const unnamed = pages.filter((page) => !named.includes(page) && !folders.includes(dirname(page)))
    assert.deepStrictEqual(unnamed, ["README.md"])
  })
})
