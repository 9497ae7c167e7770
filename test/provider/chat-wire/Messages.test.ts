import { assert, describe, it } from "@effect/vitest"
import { Prompt } from "effect/ai"
import * as Dialects from "../../../src/provider/chat-wire/Dialects.ts"
import * as Messages from "../../../src/provider/chat-wire/Messages.ts"
import { read } from "./answers.ts"

const reader = { name: "mine", dialect: Dialects.resolve(undefined, undefined) }

const user = (...content: ReadonlyArray<Prompt.UserMessagePart>) =>
  Messages.of(Prompt.fromMessages([Prompt.userMessage({ content })]), reader)[0]?.["content"]

const file = (mediaType: string, data: string | Uint8Array | URL, fileName?: string) =>
  Prompt.filePart({ mediaType, data, ...(fileName === undefined ? {} : { fileName }) })

const hi = new TextEncoder().encode("hi")

describe("what a user sends", () => {
  it.each([
    [
      "an image as bytes",
      file("image/png", hi),
      { type: "image_url", image_url: { url: "data:image/png;base64,aGk=" } }
    ],
    ["any image", file("image/*", hi), { type: "image_url", image_url: { url: "data:image/jpeg;base64,aGk=" } }],
    [
      "an image in base64",
      file("image/webp", "aGk="),
      { type: "image_url", image_url: { url: "data:image/webp;base64,aGk=" } }
    ],
    [
      "an image as a data URL",
      file("image/png", "data:image/png;base64,aGk="),
      { type: "image_url", image_url: { url: "data:image/png;base64,aGk=" } }
    ],
    [
      "a link to an image",
      file("image/png", new URL("https://a.test/k.png")),
      { type: "image_url", image_url: { url: "https://a.test/k.png" } }
    ],
    ["wav", file("audio/wav", hi), { type: "input_audio", input_audio: { data: "aGk=", format: "wav" } }],
    [
      "mp3",
      file("audio/mpeg", "data:audio/mpeg;base64,aGk="),
      { type: "input_audio", input_audio: { data: "aGk=", format: "mp3" } }
    ],
    [
      "a document",
      file("application/pdf", hi, "k.pdf"),
      { type: "file", file: { filename: "k.pdf", file_data: "data:application/pdf;base64,aGk=" } }
    ]
  ])("%s", (_, part, wanted) => {
    assert.deepStrictEqual(user(part), [wanted])
    const text = Prompt.textPart({ text: "See:" })
    assert.deepStrictEqual(user(text, part), [{ type: "text", text: "See:" }, wanted])
  })

  it("a text alone is a text", () => assert.strictEqual(user(Prompt.textPart({ text: "hi" })), "hi"))

  it("options of the provider go into the part, those of others do not", () => {
    const options = { mine: { cache_control: { type: "ephemeral" } }, other: { x: 1 } }
    assert.deepStrictEqual(user(Prompt.textPart({ text: "hi", options })), [
      { type: "text", text: "hi", cache_control: { type: "ephemeral" } }
    ])
  })

  it("a link to audio is refused: the wire has no field for it", () => {
    assert.throws(() => user(file("audio/wav", new URL("https://a.test/k.wav"))))
  })
})

describe("an image of an answer", () => {
  const answer = (url: string) => ({
    choices: [
      { index: 0, message: { content: "", images: [{ type: "image_url", image_url: { url } }] }, finish_reason: "stop" }
    ]
  })
  const parts = (url: string) => read([Buffer.from(JSON.stringify(answer(url)))]).slice(0, -1)

  it("is a file when it is data", () =>
    assert.deepStrictEqual(parts("data:image/png;base64,aGk="), [
      { type: "file", mediaType: "image/png", data: "aGk=" }
    ]))

  it("is a source when it is a link", () =>
    assert.deepStrictEqual(parts("https://a.test/k.png"), [
      { type: "source", sourceType: "url", id: "https://a.test/k.png", url: "https://a.test/k.png", title: "image" }
    ]))

  it("is refused when it is neither", () => assert.throws(() => parts("kelp"), /neither data nor a link/))
})
