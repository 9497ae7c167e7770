/**
 * Carries what is in memory over a restart: writes it to a file and reads it back.
 *
 * The file is lines of JSON, a heading and one line for each answer. It is written beside its place and then moved there,
 * so a reader finds the old file or the new one, whole. It holds answers in clear text, readable for its owner only;
 * prompts are not in it.
 */
import { Clock, Effect, FileSystem, Option, type PlatformError, Predicate, Random, Schema } from "effect"
import * as Monotonic from "../../core/Monotonic.ts"
import * as CacheEntry from "./Entry.ts"
import type { CacheMemory } from "./Memory.ts"
import type { CacheTiers } from "./Tiers.ts"

const heading = JSON.stringify({ holdfast: "ResponseCache", version: 1 })

/** How much is written at a time: the event loop is free in between. */
const pieceLength = 65_536

const fromJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

/** Writes the answers in memory to a file; says how many. Interrupted or failed, it leaves the old file as it was. */
export const save = (
  memory: CacheMemory,
  path: string
): Effect.Effect<number, PlatformError.PlatformError, FileSystem.FileSystem> =>
  Effect.scoped(
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const clock = yield* Clock.Clock
      const slots = memory.live(Monotonic.millisUnsafe(clock))
      // Its age is what counts, also where the clock was set since it was stored.
      const ahead = clock.currentTimeMillisUnsafe() - Monotonic.millisUnsafe(clock)
      const temporary = `${path}.${yield* Random.nextInt}.writing`
      yield* Effect.addFinalizer(() => Effect.ignore(fs.remove(temporary, { force: true })))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const file = yield* fs.open(temporary, { flag: "w", mode: 0o600 })
          const encoder = new TextEncoder()
          let text = `${heading}\n`
          for (const { entry, key, storedAtMillis } of slots) {
            const dated = { ...entry, storedAtMillis: Math.round(storedAtMillis + ahead) }
            text += `${JSON.stringify([key, CacheEntry.encode(dated)])}\n`
            if (text.length < pieceLength) continue
            yield* file.writeAll(encoder.encode(text))
            text = ""
          }
          yield* file.writeAll(encoder.encode(text))
          yield* file.sync
        })
      )
      yield* fs.rename(temporary, path)
      return slots.length
    })
  )

/**
 * Reads a file that {@link save} wrote into memory; says how many answers are now there that were not.
 *
 * Expired answers stay out, and what is in memory stays unless the file's is newer. A file that is not there is empty. One
 * of another version, and lines that are damaged or hold more than an entry may, are left out with a warning; the file
 * itself is not touched.
 */
export const load = (
  tiers: CacheTiers,
  path: string
): Effect.Effect<number, PlatformError.PlatformError, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    if (!(yield* fs.exists(path))) return 0
    const [first, ...lines] = (yield* fs.readFileString(path)).split("\n")
    if (first !== heading) {
      yield* Effect.logWarning(`${path} is not a snapshot of this version, and was not read`)
      return 0
    }
    const clock = yield* Clock.Clock
    const before = tiers.memory.size
    let damaged = 0
    for (const line of lines) {
      if (line === "") continue
      const pair = Option.getOrUndefined(fromJson(line))
      const [key, value]: ReadonlyArray<unknown> = Array.isArray(pair) ? pair : []
      const entry = CacheEntry.decode(value, tiers.settings.maxEntryBytes)
      if (Predicate.isString(key) && entry !== undefined) tiers.remember(key, entry, clock)
      else damaged++
    }
    if (damaged > 0) yield* Effect.logWarning(`${damaged} damaged or too large lines of ${path} were left out`)
    return tiers.memory.size - before
  })
