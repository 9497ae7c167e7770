/** What `holdfast batch` says and writes has no secret, and what was said only where the table says that it may. */
import { createServer } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { listening } from "../sockets/listening.ts"
import { completion } from "../sockets/openaiWire.ts"
import { makeFolder } from "./command.ts"

/** What may show where. Secrets may nowhere. */
const mayShow: Readonly<Record<string, ReadonlyArray<string>>> = {
  "the output": ["answer", "id"], // this is what was asked for
  "the errors file": ["id"], // ids tell which request it was
  "standard error": ["id"],
  "standard output": []
}

const key = "0CANARYkey9f8e7d6c5b4a"
const sentence = "CANARYprompt grows in the cold and shallow sea"
const answers: Readonly<Record<string, (said: string) => readonly [status: number, body: string]>> = {
  answered: () => [200, completion("CANARYanswer grows in the cold sea")],
  refused: (said) => [400, JSON.stringify({ error: { message: said, param: said, more: said } })],
  "refused in words": (said) => [400, said],
  cut: () => [200, completion("CANARYanswer grows in the cold sea").slice(0, -40)],
  spoilt: () => [200, `data ${completion("CANARYanswer grows in the cold sea")}`]
}
const kinds = Object.keys(answers)

const line = (model: string): string => {
  const body = { model, messages: [{ role: "user", content: [{ type: "text", text: sentence }] }] }
  return `${JSON.stringify({ custom_id: `CANARYid-${model}`, method: "POST", url: "/v1/chat/completions", body })}\n`
}

describe("holdfast batch", () => {
  it.live.each(["--json", "--quiet"])("shows nothing where it may not, %s", (style) =>
    Effect.gen(function* () {
      const server = createServer((asked, response) => {
        let body = ""
        asked.on("data", (bytes) => (body += String(bytes)))
        asked.on("end", () => {
          const kind = kinds.find((each) => body.includes(`"model":"${each}"`)) ?? assert.fail(body)
          const [status, text] =
            answers[kind]?.(`${body} ${JSON.stringify(asked.headers)} ${asked.url}`) ?? assert.fail()
          response.writeHead(status, { "x-auth": key, "set-cookie": key }).end(text)
        })
      })
      const baseUrl = `http://127.0.0.1:${yield* listening(server)}/v1`
      const folder = makeFolder()
      folder.write("in.jsonl", kinds.map(line).join(""))
      const args = [
        "batch",
        "in.jsonl",
        "--out",
        "out.jsonl",
        "--base-url",
        baseUrl,
        "--retries",
        "0",
        "--api-key-env",
        "SOME_KEY",
        style
      ]
      const { stderr, stdout } = yield* Effect.promise(() => folder.run(args, { env: { SOME_KEY: key } }))
      const [answered, failed] = [folder.lines("out.jsonl"), folder.lines("out.errors.jsonl")]
      assert.deepStrictEqual([answered.length, failed.length], [1, kinds.length - 1])
      const shown = {
        "the output": JSON.stringify(answered),
        "the errors file": JSON.stringify(failed),
        "standard error": stderr,
        "standard output": stdout
      }
      const found = Object.entries(shown).flatMap(([output, text]) =>
        [...text.matchAll(/CANARY([a-z]+)/g)].flatMap(([, which = ""]) =>
          mayShow[output]?.includes(which) === true ? [] : [`${which} in ${output}: ${text}`]
        )
      )
      assert.deepStrictEqual(found, [])
    })
  )
})
