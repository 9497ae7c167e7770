/**
 * Programs about work that repeats.
 */
import { type Job, sharedKey } from "./Program.ts"
import { job, type Unordered } from "./Specials.ts"

// What repeats would have its next round long after the drain has begun.
const drained: Unordered = {
  limits: { concurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      {
        do: "submit",
        job: { ...job("e", { do: "sleep", millis: 2 }), kind: "periodic", every: { millis: 9, overlap: "skip" } }
      },
      { do: "sleep", millis: 1 },
      { do: "drain", deadline: 6 }
    ],
    [{ do: "sleep", millis: 4 }]
  ]
}

// The second round of `e` waits for the first, which a drain waits for.
const queuedRound: Unordered = {
  limits: { concurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      {
        do: "submit",
        job: { ...job("e", { do: "sleep", millis: 6 }), kind: "periodic", every: { millis: 3, overlap: "queue" } }
      },
      { do: "sleep", millis: 4 },
      { do: "drain", deadline: 20 }
    ]
  ]
}

// Rounds of `e` wait for those before them, and become more.
const queuedRounds: Unordered = {
  limits: { concurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      {
        do: "submit",
        job: { ...job("e", { do: "sleep", millis: 4 }), kind: "periodic", every: { millis: 2, overlap: "queue" } }
      }
    ]
  ],
  rest: 60
}

// The first round of `e` goes on when the second is due, and the next one begins when it is.
const skippedRound: Unordered = {
  limits: { concurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      {
        do: "submit",
        job: { ...job("e", { do: "sleep", millis: 5 }), kind: "periodic", every: { millis: 3, overlap: "skip" } }
      }
    ]
  ],
  rest: 8
}

// `p` and `q` are one, until that is cancelled: then `r` is another one.
const monitor = (name: string): Job => ({
  ...job(name, { do: "sleep", millis: 1 }),
  kind: "periodic",
  every: { millis: 3, overlap: "skip" },
  idempotencyKey: sharedKey
})
const monitors: Unordered = {
  limits: { concurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      { do: "submit", job: monitor("p") },
      { do: "sleep", millis: 4 },
      { do: "cancel", job: "p" },
      { do: "submit", job: monitor("r") }
    ],
    [{ do: "submit", job: monitor("q") }]
  ],
  rest: 8
}

/** All of them. */
export const specialsOfRounds: ReadonlyArray<Unordered> = [drained, queuedRound, queuedRounds, skippedRound, monitors]
