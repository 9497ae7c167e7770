import { describe, expect, it } from "vitest"
import { spawn, spawnSync } from "node:child_process"
import { createServer } from "node:http"
import { readFileSync } from "node:fs"
import { makeFolder, packages, startFast, startModel } from "./command.ts"

const prompts = (count: number, from = 0) =>
  Array.from({ length: count }, (_, n) => `${JSON.stringify({ id: `p-${n + from}`, prompt: `say ${n + from}` })}\n`)

const ids = (lines: ReadonlyArray<{ readonly custom_id: string | null }>) =>
  lines.map(({ custom_id }) => custom_id).toSorted()

describe("holdfast batch", { timeout: 60_000 }, () => {
  it("answers real requests under faults, and says what it survived", async () => {
    const url = await startModel("--latency-ms=20", "--rate-500=0.05", "--rate-429=0.02", "--rate-cut=0.05", "--seed=7")
    const folder = makeFolder()
    folder.write("in.jsonl", readFileSync(packages, "utf8").split("\n").slice(0, 300).join("\n"))
    const { code, stderr, stdout } = await folder.run(["batch", "in.jsonl", "--out=out.jsonl", `--base-url=${url}`])
    expect(stderr).toMatch(/answered {4}300 in /)
    expect(stderr).toMatch(/survived .*HTTP 500/)
    expect(stderr).toMatch(/survived .*HTTP 429/)
    expect(stderr).toMatch(/survived .*connection lost/)
    expect([code, stdout]).toEqual([0, ""])
    expect(new Set(ids(folder.lines("out.jsonl"))).size).toBe(300)
  })

  it("writes the provider's own answer, and sends the line's own body", async () => {
    const bodies: Array<unknown> = []
    const answer = {
      id: "chatcmpl-9",
      object: "chat.completion",
      model: "m-2026",
      choices: [
        {
          index: 0,
          finish_reason: "tool_calls",
          logprobs: null,
          message: {
            role: "assistant",
            content: null,
            tool_calls: [{ id: "c1", type: "function", function: { name: "unknown_here", arguments: "{not json" } }]
          }
        }
      ],
      usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7, something_new: { deep: [1, null] } },
      service_tier: "flex",
      nonsense: { "": [true] }
    }
    const server = createServer((request, response) => {
      let text = ""
      request.on("data", (chunk) => (text += chunk))
      request.on("end", () => {
        bodies.push(JSON.parse(text), request.headers.authorization, request.url)
        response.writeHead(200, { "content-type": "application/json", "x-request-id": "req-9" })
        response.end(JSON.stringify(answer))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const address = server.address()
    const port = address === null || typeof address === "string" ? 0 : address.port
    const body = {
      model: "m",
      messages: [{ role: "user", content: [{ type: "text", text: "hi" }], name: "x" }],
      tools: [{ type: "function", function: { name: "unknown_here", parameters: {} } }],
      made_up: { by: ["us", null] }
    }
    const folder = makeFolder()
    folder.write("in.jsonl", JSON.stringify({ custom_id: "a", method: "POST", url: "/v1/chat/completions", body }))
    const { code } = await folder.run(
      ["batch", "in.jsonl", "--out=out.jsonl", `--base-url=http://127.0.0.1:${port}/v1`, "--api-key-env=SOME_KEY"],
      { env: { SOME_KEY: "sk-test" } }
    )
    server.close()
    expect(code).toBe(0)
    expect(bodies).toEqual([body, "Bearer sk-test", "/v1/chat/completions"])
    expect(folder.lines("out.jsonl")).toMatchObject([
      { custom_id: "a", response: { status_code: 200, request_id: "req-9", body: answer }, error: null }
    ])
  })

  it("survives an answer that is cut in its middle", async () => {
    let asked = 0
    const answer = JSON.stringify({ choices: [{ message: { content: "whole" }, finish_reason: "stop" }] })
    const server = createServer((_, response) => {
      asked += 1
      response.writeHead(200, { "content-type": "application/json", "content-length": answer.length })
      if (asked > 2) response.end(answer)
      else response.write(answer.slice(0, 20), () => response.destroy())
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const address = server.address()
    const port = address === null || typeof address === "string" ? 0 : address.port
    const folder = makeFolder()
    folder.write("in.jsonl", prompts(1).join(""))
    const { code, stderr } = await folder.run([
      "batch",
      "in.jsonl",
      "--out=out.jsonl",
      `--base-url=http://127.0.0.1:${port}/v1`,
      "--model=m"
    ])
    server.close()
    expect([code, asked]).toEqual([0, 3])
    expect(stderr).toContain("survived    2 × connection lost\n")
  })

  it("sends what is not in the output yet, and nothing else", async () => {
    const url = await startFast()
    const folder = makeFolder()
    folder.write("in.jsonl", prompts(40).join(""))
    const args = ["batch", "in.jsonl", "--out=out.jsonl", `--base-url=${url}`, "--model=m", "--json"]
    const first = await folder.run([...args, "--limit=15"])
    const ended = JSON.parse(first.stderr.trimEnd().split("\n").at(-1) ?? "")
    expect(ended).toMatchObject({ event: "RunEnded", answered: 15, skipped: 0, sent: 15, stopped: false })

    const second = await folder.run(args)
    const endedToo = JSON.parse(second.stderr.trimEnd().split("\n").at(-1) ?? "")
    expect(endedToo).toMatchObject({ event: "RunEnded", answered: 25, skipped: 15, sent: 25 })
    expect(ids(folder.lines("out.jsonl"))).toEqual(ids(prompts(40).map((line) => ({ custom_id: JSON.parse(line).id }))))
  })

  it("reads standard input", async () => {
    const url = await startFast()
    const folder = makeFolder()
    const { code } = await folder.run(["batch", "-", "--out=out.jsonl", `--base-url=${url}`, "--model=m"], {
      stdin: prompts(3).join("")
    })
    expect([code, ids(folder.lines("out.jsonl"))]).toEqual([0, ["p-0", "p-1", "p-2"]])
  })

  it("reads a pipe once", async () => {
    const url = await startFast()
    const folder = makeFolder()
    folder.write("in.jsonl", prompts(3_000).join(""))
    spawnSync("mkfifo", [folder.path("pipe")])
    const feeder = spawn("cp", [folder.path("in.jsonl"), folder.path("pipe")])
    const { code } = await folder.run(["batch", "pipe", "--out=out.jsonl", `--base-url=${url}`, "--model=m", "--quiet"])
    feeder.kill()
    expect([code, folder.lines("out.jsonl").length]).toEqual([0, 3_000])
  })

  it("fails bad lines by themselves, names each with its line, and tries only them again", async () => {
    const url = await startFast()
    const folder = makeFolder()
    const [good = "", other = ""] = prompts(2)
    folder.write(
      "in.jsonl",
      `${good}{"custom_id":\n\n${good}{"custom_id":"e","method":"POST","url":"/v1/images","body":{}}\n`
    )
    const args = ["batch", "in.jsonl", "--out=out.jsonl", `--base-url=${url}`, "--model=m"]
    const first = await folder.run(args)
    expect(first.code).toBe(1)
    expect(first.stderr).toContain("failed: line 2: is not a JSON object\n")
    expect(first.stderr).toContain('failed: p-0, line 4: custom_id "p-0" is that of an earlier line\n')
    expect(first.stderr).toContain("failed: e, line 5: url must be ")
    expect(ids(folder.lines("out.jsonl"))).toEqual(["p-0"])
    expect(
      folder
        .lines("out.errors.jsonl")
        .map(({ custom_id, holdfast: { attempts, code, line } }) => [custom_id, code, line, attempts])
    ).toEqual([
      [null, "InvalidLine", 2, 0],
      ["p-0", "InvalidLine", 4, 0],
      ["e", "InvalidLine", 5, 0]
    ])

    folder.write("in.jsonl", `${good}${other}`)
    const second = await folder.run(args)
    expect([second.code, ids(folder.lines("out.jsonl")), folder.lines("out.errors.jsonl")]).toEqual([
      0,
      ["p-0", "p-1"],
      []
    ])
  })

  it("writes the typed reason of a request that failed, and tries it again in the next run", async () => {
    const failing = await startModel("--latency-ms=0", "--rate-500=1")
    const folder = makeFolder()
    folder.write("in.jsonl", prompts(2).join(""))
    const args = ["batch", "in.jsonl", "--out=out.jsonl", "--model=m"]
    const { code, stderr } = await folder.run([...args, "--retries=1", `--base-url=${failing}`])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^failed {6}2: 2 × InternalProviderError$/m)
    expect(folder.lines("out.errors.jsonl")).toMatchObject([
      {
        response: { status_code: 500 },
        error: null,
        holdfast: { code: "InternalProviderError", attempts: 2, policy: null }
      },
      {
        response: { status_code: 500 },
        error: null,
        holdfast: { code: "InternalProviderError", attempts: 2, policy: null }
      }
    ])
    const again = await folder.run([...args, `--base-url=${await startFast()}`])
    expect([again.code, ids(folder.lines("out.jsonl"))]).toEqual([0, ["p-0", "p-1"]])
  })

  it("gives an attempt its time and no more", async () => {
    const url = await startFast(5_000)
    const folder = makeFolder()
    folder.write("in.jsonl", prompts(1).join(""))
    const { code } = await folder.run([
      "batch",
      "in.jsonl",
      "--out=out.jsonl",
      `--base-url=${url}`,
      "--model=m",
      "--timeout=200ms",
      "--retries=1"
    ])
    expect(code).toBe(1)
    expect(folder.lines("out.errors.jsonl")).toMatchObject([
      { response: null, holdfast: { attempts: 2, policy: { _tag: "TimedOut", clock: "attempt", afterMillis: 200 } } }
    ])
  })

  it("keeps to the requests per minute", async () => {
    const url = await startFast()
    const folder = makeFolder()
    folder.write("in.jsonl", prompts(21).join(""))
    const { stderr } = await folder.run([
      "batch",
      "in.jsonl",
      "--out=out.jsonl",
      `--base-url=${url}`,
      "--model=m",
      "--requests-per-minute=600",
      "--json"
    ])
    const ended = JSON.parse(stderr.trimEnd().split("\n").at(-1) ?? "")
    expect(ended.answered).toBe(21)
    expect(ended.elapsedMillis).toBeGreaterThanOrEqual(2_000)
    expect(ended.elapsedMillis).toBeLessThan(6_000)
  })

  it("keeps a second run out of an output that is being written", async () => {
    const url = await startFast(60_000)
    const folder = makeFolder()
    folder.write("in.jsonl", prompts(1).join(""))
    const args = ["batch", "in.jsonl", "--out=out.jsonl", `--base-url=${url}`, "--model=m", "--json"]
    const first = folder.start(args)
    await first.says("RunStarted")
    const { code, stderr } = await folder.run(args)
    expect([code, first.process.exitCode]).toEqual([2, null])
    expect(stderr).toMatch(/another run is writing .*out\.jsonl \(it holds .*\.lock\): wait for it/)
    first.process.kill("SIGKILL")
    await first.ended
  })

  it("tells every event as one JSON object a line", async () => {
    const url = await startFast()
    const folder = makeFolder()
    folder.write("in.jsonl", `${prompts(1).join("")}nonsense\n`)
    const { stderr } = await folder.run([
      "batch",
      "in.jsonl",
      "--out=out.jsonl",
      `--base-url=${url}`,
      "--model=m",
      "--json"
    ])
    const events = stderr
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line))
      .filter(({ event }) => event !== "RunProgressed")
    expect(events[0]).toEqual({ event: "RunStarted", answeredBefore: 0, cutBytes: 0 })
    expect(events.slice(1, 3)).toEqual(
      expect.arrayContaining([
        { event: "RequestAnswered", customId: "p-0", attempts: 1, inputTokens: 10, outputTokens: 5 },
        {
          event: "RequestFailed",
          customId: null,
          line: 2,
          attempts: 0,
          code: "InvalidLine",
          message: "line 2: is not a JSON object"
        }
      ])
    )
    expect(events[3]).toMatchObject({ event: "RunEnded", answered: 1, failed: 1, failedBy: { InvalidLine: 1 } })
  })

  it("prints no progress with --quiet, but failures and the summary", async () => {
    const url = await startFast()
    const folder = makeFolder()
    folder.write("in.jsonl", `${prompts(1).join("")}nonsense\n`)
    const { stderr } = await folder.run([
      "batch",
      "in.jsonl",
      "--out=out.jsonl",
      `--base-url=${url}`,
      "--model=m",
      "--quiet"
    ])
    const words = stderr.trimEnd().split("\n")
    expect(words.map((line) => line.split(/[: ]/)[0])).toEqual([
      "failed",
      "answered",
      "failed",
      "sent",
      "tokens",
      "answers",
      "errors"
    ])
  })
})
