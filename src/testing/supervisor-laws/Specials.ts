/**
 * Programs for what chance seldom brings about.
 */
import { type Job, type Program, sharedKey, type Step, type Work } from "./Program.ts"

/** A program that is run in many orders. */
export type Unordered = Omit<Program, "order">

/** A job that does this and succeeds. */
export const job = (name: string, ...work: ReadonlyArray<Work>): Job => ({ name, work, end: "succeed" })

// While a job waits for `x`, and lends its slot, `q` of its key takes it for good.
const lending = (wait: Work): Unordered => ({
  limits: { concurrency: 2, keyConcurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      { do: "submit", job: { ...job("x"), end: "never", finalizer: "slow" } },
      { do: "submit", job: { ...job("w", { do: "sleep", millis: 1 }, wait), key: "red" } },
      { do: "submit", job: { ...job("q"), end: "never", key: "red" } }
    ]
  ],
  rest: 60
})

const giveUps: ReadonlyArray<Unordered> = [
  lending({ do: "cancel", job: "x" }),
  lending({ do: "await", job: "x", limit: 2 }),
  lending({ do: "give up", job: "x", limit: 2 }),
  lending({ do: "run", job: { ...job("y"), end: "never", key: "blue" }, leaveAfter: 2 })
]

// While `w` waits for `x`, `q` of its key takes the slot it lent: `w` goes on when `q` has ended.
const comesBack: Unordered = {
  limits: { concurrency: 2, keyConcurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      { do: "submit", job: job("x", { do: "sleep", millis: 3 }) },
      { do: "submit", job: { ...job("w", { do: "join", job: "x" }, { do: "sleep", millis: 2 }), key: "red" } },
      { do: "submit", job: { ...job("q", { do: "sleep", millis: 6 }), key: "red" } }
    ]
  ],
  rest: 60
}

// A job waits for a call, and the call for a job: there is one slot.
const throughCall: Unordered = {
  limits: { concurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      {
        do: "submit",
        job: job("w", {
          do: "run",
          job: { ...job("c", { do: "sleep", millis: 1 }, { do: "run", job: job("d") }), kind: "call" }
        })
      },
      { do: "join", job: "w" }
    ]
  ]
}

// `w` waits for `d`, which drains, through `v`: neither is ended at the deadline, as `x` is.
const waitedForByDrained: Unordered = {
  limits: { concurrency: 3, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      { do: "submit", job: job("d", { do: "sleep", millis: 1 }, { do: "drain", deadline: 3 }) },
      { do: "submit", job: job("v", { do: "join", job: "d" }) },
      { do: "submit", job: job("w", { do: "sleep", millis: 2 }, { do: "join", job: "v" }) },
      { do: "submit", job: { ...job("x"), end: "never" } }
    ]
  ],
  rest: 8
}

// `w` waits for `d`, which drains, and has given up and ended when the drain gives its report, for `x` does not end in time.
const gaveUpOnDrained: Unordered = {
  limits: { concurrency: 3, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      { do: "submit", job: job("d", { do: "sleep", millis: 1 }, { do: "drain", deadline: 3 }) },
      { do: "submit", job: job("w", { do: "sleep", millis: 2 }, { do: "give up", job: "d", limit: 3 }) },
      { do: "submit", job: job("x", { do: "block", millis: 12 }) }
    ]
  ],
  rest: 8
}

// While `w` waits for room, `r` ends and makes some, and `n` comes before it is given away.
const room: Unordered = {
  limits: { concurrency: 1, maxPending: 1, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      { do: "submit", job: job("r", { do: "sleep", millis: 2 }) },
      { do: "submit", job: job("p") },
      { do: "submit", job: { ...job("w"), whenFull: "wait" } }
    ],
    [
      { do: "sleep", millis: 1 },
      { do: "sleep", millis: 1 },
      { do: "submit", job: job("n") }
    ]
  ]
}

// While `w` waits for room, `s` ends and leaves a slot that the key of `w` may take, and that of `p` and `q`, which are more than may
// wait, may not; `m` and `n` come then.
const roomOfKeys: Unordered = {
  limits: { concurrency: 2, keyConcurrency: 1, maxPending: 1, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      {
        do: "submit",
        job: {
          ...job(
            "r",
            { do: "submit", job: { ...job("p"), key: "red" } },
            { do: "submit", job: { ...job("q"), key: "red" } },
            { do: "sleep", millis: 6 }
          ),
          key: "red"
        }
      },
      { do: "submit", job: { ...job("s", { do: "sleep", millis: 2 }), key: "green" } },
      { do: "sleep", millis: 1 },
      { do: "submit", job: { ...job("w", { do: "sleep", millis: 1 }), key: "blue", whenFull: "wait" } }
    ],
    ...["m", "n"].map((name): ReadonlyArray<Step> => [
      { do: "sleep", millis: 1 },
      { do: "sleep", millis: 1 },
      { do: "submit", job: { ...job(name), key: `of ${name}` } }
    ])
  ],
  rest: 8
}

// `p` is paused by itself, `q` by its name; both are resumed while the slot is free. There is no room for `n` beside them.
const resumed: Unordered = {
  limits: { concurrency: 1, maxPending: 2, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      { do: "submit", job: job("r", { do: "sleep", millis: 2 }) },
      { do: "submit", job: job("p") },
      { do: "sleep", millis: 1 },
      { do: "pause", job: "p" },
      { do: "pause name", name: "q" },
      { do: "submit", job: job("q") },
      { do: "submit", job: job("n") },
      { do: "sleep", millis: 3 },
      { do: "resume", job: "p" },
      { do: "sleep", millis: 1 },
      { do: "resume name", name: "q" }
    ]
  ],
  rest: 8
}

// `h` is more urgent than `o`, which has waited for longer than that is worth: within a key, and between two.
const aged = (own: Partial<Job>, other: Partial<Job>): Unordered => ({
  limits: { concurrency: 1, maxPending: 20, aging: 1, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      { do: "submit", job: { ...job("r", { do: "sleep", millis: 6 }), ...own } },
      { do: "submit", job: { ...job("o"), ...own } },
      { do: "sleep", millis: 5 },
      { do: "submit", job: { ...job("h"), ...other } }
    ]
  ],
  rest: 8
})

// `j` and `k` wait for jobs that are held, one older than who waits for it, when all are ended; `l` comes to run one then.
const waitsForHeld: Unordered = {
  limits: { concurrency: 3, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      { do: "pause name", name: "x" },
      { do: "pause name", name: "y" },
      { do: "submit", job: { ...job("j", { do: "run", job: job("x") }), passesOn: true } },
      { do: "submit", job: job("y") },
      { do: "submit", job: { ...job("k", { do: "join", job: "y" }), passesOn: true } },
      {
        do: "submit",
        job: { ...job("l", { do: "sleep", millis: 2 }, { do: "run", job: job("z") }), passesOn: true }
      },
      { do: "sleep", millis: 2 },
      { do: "close" }
    ]
  ]
}

// What `j` runs is cancelled: it is not tried again for that.
const cancelledChild: Unordered = {
  limits: { concurrency: 2, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      {
        do: "submit",
        job: { ...job("j", { do: "run", job: { ...job("x"), end: "never" } }), passesOn: true, retry: 1 }
      },
      { do: "sleep", millis: 1 },
      { do: "cancel all" }
    ],
    [
      { do: "submit", job: { ...job("y"), end: "never" } },
      { do: "submit", job: { ...job("k", { do: "join", job: "y" }), passesOn: true, retry: 1 } },
      { do: "sleep", millis: 1 },
      { do: "cancel", job: "y" }
    ]
  ],
  rest: 8
}

// What `j` reports last is all that it has to say, and it ends at once.
const reported: Unordered = {
  limits: { concurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      { do: "submit", job: job("j", { do: "sleep", millis: 1 }, { do: "report", done: 2 }) },
      { do: "watch", job: "j" }
    ]
  ],
  rest: 8
}

// The call `c` has the key of a job that waits for a slot, and gets that job.
const joinedByCall: Unordered = {
  limits: { concurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      { do: "submit", job: job("r", { do: "sleep", millis: 3 }) },
      { do: "submit", job: { ...job("p", { do: "sleep", millis: 1 }), idempotencyKey: sharedKey } },
      { do: "submit", job: { ...job("c"), kind: "call", idempotencyKey: sharedKey } }
    ]
  ],
  rest: 8
}

// Two run one job, and one of them leaves.
const shared: Unordered = {
  limits: { concurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
  hook: "note",
  clients: [
    [{ do: "run", job: { ...job("x", { do: "sleep", millis: 4 }), idempotencyKey: sharedKey } }],
    [
      { do: "sleep", millis: 1 },
      {
        do: "run",
        job: { ...job("y", { do: "sleep", millis: 4 }), idempotencyKey: sharedKey },
        leaveAfter: 1
      }
    ]
  ]
}

// When somebody prunes, `j` has ended for longer than its record is kept, and `k` runs.
const old: Unordered = {
  limits: { concurrency: 2, maxPending: 20, retain: 50, retainFor: 2, eventHistory: 500 },
  hook: "note",
  clients: [
    [
      { do: "submit", job: job("j") },
      { do: "submit", job: job("k", { do: "sleep", millis: 6 }) },
      { do: "sleep", millis: 4 },
      { do: "prune" },
      { do: "list" }
    ]
  ],
  rest: 8
}

/** All of them. */
export const specials: readonly [Unordered, ...ReadonlyArray<Unordered>] = [
  comesBack,
  throughCall,
  old,
  waitedForByDrained,
  gaveUpOnDrained,
  room,
  roomOfKeys,
  resumed,
  aged({}, { priority: 2 }),
  aged({ key: "red" }, { key: "blue" }),
  waitsForHeld,
  cancelledChild,
  reported,
  joinedByCall,
  shared,
  ...giveUps
]
