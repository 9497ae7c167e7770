/** Answers in the format of OpenAI's chat completions, for servers and transports of tests and benches. */

/** One event of a streamed answer. */
export const chunk = (delta: object, finishReason: string | null = null): string =>
  `data: ${JSON.stringify({
    id: "c",
    object: "chat.completion.chunk",
    created: 1,
    model: "m",
    choices: [{ index: 0, delta, finish_reason: finishReason }]
  })}\n\n`

/** The last events of a streamed answer. */
export const done = `${chunk({}, "stop")}data: [DONE]\n\n`

/** A whole answer. */
export const completion = (content: string): string =>
  JSON.stringify({
    id: "c",
    object: "chat.completion",
    created: 1,
    model: "m",
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
  })
