/**
 * Programs about the keys that jobs have from their owners, and about idempotency keys of more than one key.
 */
import { sharedKey } from "./Program.ts"
import { job, type Unordered } from "./Specials.ts"

// The jobs of `w`, and theirs, are of its key, which lets one run: also those of a call and of what repeats, but not `f`.
const inherited: Unordered = {
  limits: { concurrency: 3, keyConcurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      {
        do: "submit",
        job: {
          ...job(
            "w",
            { do: "submit", job: { ...job("f", { do: "sleep", millis: 4 }), owner: "supervisor" } },
            { do: "fan out", jobs: [job("a", { do: "run", job: job("b", { do: "sleep", millis: 1 }) }), job("c")] },
            { do: "run", job: { ...job("d"), end: "never" }, leaveAfter: 2 },
            { do: "run", job: { ...job("g", { do: "run", job: job("h", { do: "sleep", millis: 1 }) }), kind: "call" } },
            { do: "submit", job: job("i", { do: "sleep", millis: 1 }) },
            { do: "sleep", millis: 2 },
            { do: "join", job: "i" }
          ),
          key: "red"
        }
      },
      { do: "submit", job: { ...job("q", { do: "sleep", millis: 2 }), key: "red" } },
      { do: "join", job: "w" }
    ]
  ],
  rest: 60
}

// What repeats was started in `w`, and so its rounds run jobs of the key of `w`, of which `q` is one as well.
const inheritedByRounds: Unordered = {
  limits: { concurrency: 3, keyConcurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      {
        do: "submit",
        job: {
          ...job(
            "w",
            {
              do: "submit",
              job: {
                ...job("e", { do: "run", job: job("a", { do: "sleep", millis: 1 }) }),
                kind: "periodic",
                every: { millis: 3, overlap: "skip" }
              }
            },
            { do: "give up", job: "e", limit: 8 }
          ),
          key: "red"
        }
      },
      { do: "submit", job: { ...job("q", { do: "sleep", millis: 3 }), key: "red" } }
    ]
  ],
  rest: 60
}

// `x` and `y` have one idempotency key, each for its own `key`; `z` is `x`.
const apart: Unordered = {
  limits: { concurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [{ do: "submit", job: { ...job("x", { do: "sleep", millis: 2 }), key: "red", idempotencyKey: sharedKey } }],
    [{ do: "submit", job: { ...job("y", { do: "sleep", millis: 2 }), key: "blue", idempotencyKey: sharedKey } }],
    [
      {
        do: "submit",
        job: { ...job("w", { do: "run", job: { ...job("z"), idempotencyKey: sharedKey } }), key: "red" }
      }
    ]
  ],
  rest: 8
}

/** All of them. */
export const specialsOfKeys: ReadonlyArray<Unordered> = [inherited, inheritedByRounds, apart]
