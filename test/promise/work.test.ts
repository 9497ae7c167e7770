/** What is given to a client as work, as a schema and as a schedule. */
import { assert, describe, it } from "@effect/vitest"
import { Client, type HoldfastError } from "holdfast/promise"

const rejection = (promise: Promise<unknown>): Promise<HoldfastError> =>
  promise.then(
    () => assert.fail("it was fulfilled"),
    (error) => error
  )

const silent = () => Client.make({ log: false })

describe("a generator function", () => {
  it("is refused as work: a call of it runs nothing", async () => {
    await using client = silent()
    const pages = async function* () {
      yield 1
    }
    const list = function* () {
      yield 1
    }
    const doors = [
      client.run(pages),
      client.run(list),
      client.submit(pages),
      client.run(({ run }) => run(pages)),
      client.run(({ submit }) => submit(pages)),
      client.every(1, pages, { name: "n" })
    ]
    for (const error of await Promise.all(doors.map(rejection))) {
      assert.match(
        `${error}`,
        /^RangeError: Client.submit option work must be a function, got a generator function, of which a call runs nothing$/
      )
    }
    assert.throws(() => client.define("pages", pages), /^Client.define option handler must be a function, got a gen/)
    assert.throws(() => Client.make({ log: list }), /^Client option log must be a function, got a generator function/)
  })
})

describe("a schema that does not answer", () => {
  const schema = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: () => new Promise<never>(() => {}),
      jsonSchema: { input: () => ({}), output: () => ({}) }
    }
  } as const

  it("is not waited for once the signal aborts, nor asked after that", async () => {
    await using client = silent()
    const { run } = client.define("n", () => 1, schema)
    const controller = new AbortController()
    const asked = rejection(run(1 as never, { signal: controller.signal }))
    controller.abort(new Error("enough"))
    assert.strictEqual((await asked).message, "enough")
    assert.strictEqual((await rejection(run(1 as never, { signal: controller.signal }))).message, "enough")
  })

  it("is not waited for once the client closes", async () => {
    const client = silent()
    const { run, submit } = client.define("n", () => 1, schema)
    const asked = [rejection(run(1 as never)), rejection(submit(1 as never))]
    await client.close()
    asked.push(rejection(run(1 as never)))
    assert.deepStrictEqual(
      (await Promise.all(asked)).map(({ code }) => code),
      ["closed", "closed", "closed"]
    )
  })
})

describe("every", () => {
  const wanted = `a time, or a cron text such as "0 4 * * *"`

  it.each([
    [
      "0 4 * * *",
      { timeZone: "Mars/Phobos" },
      `timeZone must be one that there is, such as "Europe/Berlin" or "+02:00", got "Mars/Phobos"`
    ],
    ["1 hour", { timeZone: "UTC" }, `timeZone must be given with a cron text, got "UTC"`],
    ["0 0 31 2 *", {}, `schedule must be a cron text of a moment that comes, got "0 0 31 2 *"`],
    ["0 0 L * *", {}, `schedule must be ${wanted}, got "0 0 L * *"`],
    ["@daily", {}, `schedule must be ${wanted}, got "@daily"`],
    [null, {}, `schedule must be ${wanted}, got null`],
    [Number.NaN, {}, `schedule must be ${wanted}, got NaN`],
    [0, {}, "schedule must be a finite duration above 0, got 0 ms"]
  ])("says of %s with %j what is wrong, as its caller knows it", async (schedule, options, message) => {
    await using client = silent()
    const error = await rejection(client.every(schedule as never, () => 1, { name: "n", ...options } as never))
    assert.strictEqual(`${error}`, `RangeError: Client.every option ${message}`)
  })

  it.each(["UTC", "+02:00", "Africa/Casablanca"])("knows the time zone %s", async (timeZone) => {
    await using client = silent()
    assert.strictEqual((await (await client.every("0 4 * * *", () => 1, { name: "n", timeZone })).status()).name, "n")
  })

  it.each([undefined, null, 5, "n", []])("rejects with %j in place of options", async (options) => {
    await using client = silent()
    const error = await rejection(client.every("1 minute", () => 1, options as never))
    assert.match(`${error}`, /^RangeError: Client.every options must be an object/)
  })

  it("names the option that was meant", async () => {
    await using client = silent()
    const error = await rejection(client.every("1 minute", () => 1, { name: "n", timezone: "UTC" } as never))
    assert.strictEqual(error.message, "Client.every has no option timezone: did you mean timeZone?")
  })
})
