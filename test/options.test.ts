import { readdirSync, readFileSync } from "node:fs"
import { assert, it } from "@effect/vitest"

const filesIn = (folder: string, ending: string): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(ending))
    .map((file) => `${folder}/${file}`)

/** Interfaces of options that no table walks, and why. */
const apart: Readonly<Record<string, string>> = {
  "src/provider/ChatWire.ts Options": "has tests of its own for every field",
  "src/core/PeriodicWork.ts Options": "handed over by the house only",
  "src/testing/policy-laws/StandardPipeline.ts Options": "handed over by the house only",
  "src/policy/store/SharedStore.ts Options": "handed over by the house only",
  "src/cli/batch/input/BatchInput.ts Options": "handed over by the house only",
  "src/cli/batch/send/AttemptTally.ts Options": "handed over by the house only",
  "src/cli/batch/send/Lanes.ts Options": "handed over by the house only",
  "src/cli/batch/send/Perseverance.ts Options": "handed over by the house only",
  "src/cli/batch/RunOptions.ts Options": "in test/cli/batch/options.test.ts",
  "src/supervisor/operations/WaitOptions.ts Options": "in test/publicOptions.test.ts",
  "src/testing/laws/Search.ts Options": "in test/publicOptions.test.ts",
  "src/testing/SupervisorLaws.ts Options": "in test/publicOptions.test.ts",
  "src/testing/PolicyLaws.ts Options": "in test/publicOptions.test.ts",
  "src/testing/JobStoreLaws.ts Options": "in test/publicOptions.test.ts",
  "src/testing/LeakDetector.ts Options": "in test/publicOptions.test.ts",
  "src/testing/FaultyModel.ts Options": "in test/publicOptions.test.ts",
  "src/testing/FaultyServer.ts Options": "in test/publicOptions.test.ts",
  "src/testing/SeededScheduler.ts Options": "in test/publicOptions.test.ts",
  "src/testing/SeededScheduler.ts ExploreOptions": "in test/publicOptions.test.ts",
  "src/testing/faults/Bucket.ts Options": "in test/publicOptions.test.ts"
}

it("every interface of options is handed what makes no sense", () => {
  const tables = filesIn("test", "options.test.ts").map((file) => readFileSync(file, "utf8"))
  const walked = tables.flatMap((text) => [
    ...Array.from(text.matchAll(/"(src\/[^"]+\.ts)",\s*"(\w+)"/g), ([, file, name]) => `${file} ${name}`),
    ...Array.from(
      text.matchAll(/table\(\s*"\w+",\s*"([\w/-]+)",\s*"(\w+)"/g),
      ([, f, name]) => `src/policy/${f}.ts ${name}`
    )
  ])
  const written = filesIn("src", ".ts").flatMap((file) =>
    Array.from(
      readFileSync(file, "utf8").matchAll(/^export interface (\w*Options)\b/gm),
      ([, name]) => `${file} ${name}`
    )
  )
  assert.isAbove(walked.length, 20)
  assert.deepStrictEqual(
    written.filter((each) => !walked.includes(each) && !(each in apart)),
    []
  )
  assert.deepStrictEqual(
    Object.keys(apart).filter((each) => !written.includes(each)),
    []
  )
})
