/** Programs that broke a law once, although the supervisor was right: what was wrong was the law, or what ran the program. */
import { Effect } from "effect"
import { Supervisor } from "holdfast/supervisor"
import { SupervisorLaws } from "holdfast/testing"
import { assert, describe, it } from "vitest"

const found: ReadonlyArray<{ readonly name: string; readonly program: SupervisorLaws.Program }> = [
  {
    name: "a drain in a job whose record was never seen",
    program: {
      order: { seed: 81881217 },
      limits: { concurrency: 1, maxPending: 1, retain: 0, retainFor: 3, stuckAfter: 1, eventHistory: 500 },
      hook: "note",
      clients: [
        [
          {
            do: "submit",
            job: {
              name: "b",
              work: [{ do: "run", job: { name: "c", work: [{ do: "drain", deadline: 1 }], end: "succeed" } }],
              end: "succeed"
            }
          }
        ],
        [{ do: "sleep", millis: 3 }]
      ]
    }
  },
  {
    name: "an async function that is aborted between two blocks",
    program: {
      order: { seed: 911778267 },
      limits: { concurrency: 1, maxPending: 1, retain: 50, retainResults: 1, retainResultsFor: 3, eventHistory: 3 },
      hook: "alert",
      clients: [
        [
          {
            do: "submit",
            job: {
              name: "c",
              by: "promise",
              work: [
                { do: "block", millis: 1 },
                { do: "block", millis: 2 },
                { do: "block", millis: 3 }
              ],
              end: "succeed",
              timeout: 2,
              retry: 1,
              owner: "supervisor"
            }
          }
        ]
      ]
    }
  },
  {
    name: "an async function that joins a job which was interrupted and whose finalizer dies",
    program: {
      order: { seed: 597307715 },
      limits: { concurrency: 1, maxPending: 20, retain: 50, retainResultsFor: 4, stuckAfter: 1, eventHistory: 500 },
      hook: "note",
      clients: [
        [
          {
            do: "submit",
            job: {
              name: "a",
              by: "promise",
              work: [{ do: "run", job: { name: "b", work: [], end: "succeed", idempotencyKey: "same" } }],
              end: "succeed"
            }
          }
        ],
        [
          {
            do: "submit",
            job: {
              name: "f",
              work: [{ do: "submit", job: { name: "g", work: [], end: "fail once", finalizer: "die", priority: 20 } }],
              end: "interrupt",
              finalizer: "die",
              timeout: 3,
              idempotencyKey: "same"
            }
          }
        ]
      ],
      rest: 8
    }
  },
  {
    name: "an async function that joins a job whose error became a defect, because its finalizer died",
    program: {
      order: { seed: 1869532550 },
      limits: { concurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
      hook: "note",
      clients: [
        [
          {
            do: "submit",
            job: {
              name: "a",
              by: "promise",
              work: [{ do: "run", job: { name: "c", work: [], end: "succeed", idempotencyKey: "same" } }],
              end: "succeed"
            }
          },
          {
            do: "submit",
            job: { name: "e", work: [], end: "fail", finalizer: "die", retry: 2, idempotencyKey: "same" }
          }
        ]
      ],
      rest: 8
    }
  },
  {
    name: "a job that failed because the result of another one was kept no longer",
    program: {
      order: { seed: 228857835 },
      limits: { concurrency: 3, maxPending: 20, retain: 50, retainResults: 1, eventHistory: 500 },
      hook: "throw",
      clients: [
        [
          {
            do: "run",
            job: {
              name: "c",
              work: [
                {
                  do: "fan out",
                  jobs: [
                    { name: "e", work: [], end: "fail", idempotencyKey: "same" },
                    { name: "g", work: [], end: "interrupt" }
                  ]
                }
              ],
              end: "fail",
              whenFull: 2,
              retry: 1,
              passesOn: true
            }
          }
        ]
      ]
    }
  },
  {
    name: "a list after a round that succeeded, which is counted and not kept",
    program: {
      order: { seed: 228092109 },
      limits: { concurrency: 1, maxPending: 20, retain: 50, eventHistory: 500 },
      hook: "note",
      clients: [
        [
          {
            do: "submit",
            job: {
              name: "a",
              work: [],
              end: "succeed",
              kind: "periodic",
              every: { millis: 3, overlap: "cancel previous" }
            }
          }
        ],
        [{ do: "list" }]
      ]
    }
  },
  {
    name: "a job that found a slot free and was paused before it took that",
    program: {
      order: { seed: 1894227195 },
      limits: { concurrency: 1, maxPending: 1, retain: 50, stuckAfter: 1, eventHistory: 3 },
      hook: "note",
      clients: [
        [{ do: "run", job: { name: "b", work: [], end: "succeed" } }],
        [{ do: "pause name", name: "b" }],
        [
          { do: "submit", job: { name: "d", work: [], end: "succeed", owner: "supervisor" } },
          { do: "pause name", name: "d" }
        ]
      ]
    }
  },
  {
    name: "a job that came and went within one turn while its caller waited for its slot",
    program: {
      order: { seed: 1533423397 },
      limits: { concurrency: 3, keyConcurrency: 1, maxPending: 2, retain: 0, eventHistory: 500 },
      hook: "slow",
      clients: [
        [
          {
            do: "submit",
            job: {
              name: "a",
              work: [
                { do: "submit", job: { name: "b", work: [], end: "succeed", finalizer: "slow" } },
                { do: "run", job: { name: "c", work: [], end: "succeed", key: "of c", whenFull: 2 } }
              ],
              end: "die",
              timeout: 1,
              key: "red"
            }
          }
        ],
        [
          {
            do: "submit",
            job: {
              name: "e",
              work: [
                { do: "block", millis: 1 },
                { do: "sleep", millis: 3 },
                { do: "cancel", job: "b" }
              ],
              end: "die",
              finalizer: "die",
              timeout: 2,
              key: "blue",
              priority: 20
            }
          },
          { do: "sleep", millis: 4 }
        ]
      ]
    }
  },
  {
    name: "a job that drains, submits a job of its own, and has come and gone within one turn",
    program: {
      order: { seed: 2073440213 },
      limits: { concurrency: 2, maxPending: 20, retain: 0, stuckAfter: 2, eventHistory: 500 },
      hook: "note",
      clients: [
        [
          {
            do: "submit",
            job: {
              name: "a",
              work: [
                {
                  do: "run",
                  job: {
                    name: "b",
                    work: [
                      { do: "drain", deadline: 4 },
                      { do: "submit", job: { name: "c", work: [], end: "succeed" } }
                    ],
                    end: "succeed"
                  }
                }
              ],
              end: "succeed"
            }
          }
        ]
      ],
      rest: 8
    }
  },
  {
    name: "a caller of a drain that runs one more job between its report and its return",
    program: {
      order: { seed: 1655691734 },
      limits: {
        concurrency: 2,
        maxPending: 20,
        retain: 50,
        retainResults: 2,
        retainResultsFor: 3,
        stuckAfter: 1,
        eventHistory: 500
      },
      hook: "die",
      clients: [
        [
          {
            do: "submit",
            job: {
              name: "a",
              work: [
                { do: "submit", job: { name: "b", work: [{ do: "drain", deadline: 1 }], end: "succeed" } },
                { do: "run", job: { name: "f", work: [{ do: "sleep", millis: 1 }], end: "succeed" } },
                { do: "run", job: { name: "g", work: [], end: "never", finalizer: "slow", idempotencyKey: "same" } }
              ],
              end: "fail once",
              kind: "periodic",
              every: { millis: 8, overlap: "cancel previous" }
            }
          }
        ]
      ],
      rest: 8
    }
  },
  {
    name: "jobs that nobody saw begin, once the wall clock was set",
    program: {
      order: { seed: 39445823 },
      limits: { concurrency: 2, maxPending: 2, aging: 0.1, retain: 0, stuckAfter: 1, eventHistory: 500 },
      hook: "note",
      clients: [
        [
          { do: "submit", job: { name: "b", work: [], end: "succeed" } },
          { do: "set clock", by: -3_600_000 }
        ],
        [
          {
            do: "submit",
            job: {
              name: "c",
              work: [
                {
                  do: "submit",
                  job: {
                    name: "d",
                    work: [
                      {
                        do: "fan out",
                        jobs: [
                          { name: "e", work: [], end: "succeed", priority: -10, whenFull: 2 },
                          { name: "f", work: [], end: "fail once", timeout: 4, whenFull: "wait" }
                        ]
                      }
                    ],
                    end: "succeed",
                    whenFull: 2
                  }
                },
                { do: "block", millis: 2 }
              ],
              end: "succeed",
              retry: 1,
              owner: "supervisor"
            }
          }
        ]
      ],
      rest: 8
    }
  }
]

describe("the laws are kept by", () => {
  it.each(found)("$name", async ({ program }) => {
    const { breaches } = await Effect.runPromise(SupervisorLaws.replay(Supervisor.make, program))
    assert.deepStrictEqual(breaches, [])
  })
})
