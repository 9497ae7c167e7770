/**
 * Makes programs and stacks smaller in every way that leaves them what they are, the boldest ways first.
 */
import { each, fewerOrLess, without } from "../laws/Search.ts"
import type { Answer, Call, Layer, Plan, Program } from "./Program.ts"

/** Programs that have a little less of everything. */
export function* smaller(program: Program): Iterable<Program> {
  const { clients, clock, models, stack } = program
  if (clock !== undefined) {
    const { clock: _, ...rest } = program
    yield rest
  }
  if (stack !== undefined) for (const less of smallerPlan(stack)) yield { ...program, stack: less }
  for (const fewer of without(clients)) if (fewer.length > 0) yield { ...program, clients: fewer }
  for (const less of each(clients, (calls) => fewerOrLess(calls, smallerCall))) yield { ...program, clients: less }
  for (const less of each(models, (answers) => fewerOrLess(answers, smallerAnswer))) {
    if (less.every(({ length }) => length > 0)) yield { ...program, models: less }
  }
  // The order that changes least.
  if (program.order !== 0) yield { ...program, order: 0 }
}

/** Stacks with a policy or an option less. */
function* smallerPlan(plan: Plan): Iterable<Plan> {
  for (const policies of without(plan.policies)) if (policies.length > 0) yield { ...plan, policies }
  if (plan.pool === true) yield { policies: plan.policies }
  for (const policies of each(plan.policies, smallerLayer)) yield { ...plan, policies }
}

/** Options a kind cannot do without are drawn by all of that kind, so that leaving them out is refused. */
function* smallerLayer(layer: Layer): Iterable<Layer> {
  for (const name of optional) {
    if (!(name in layer.with)) continue
    yield { ...layer, with: Object.fromEntries(Object.entries(layer.with).filter(([other]) => other !== name)) }
  }
}

const optional = [
  "lies",
  "retry",
  "requests",
  "burst",
  "maxWaiting",
  "maxWait",
  "keyConcurrency",
  "maxAttempts",
  "maxBuffer",
  "headers",
  "staleFor",
  "processes",
  "latency",
  "silent"
]

function* smallerCall(call: Call): Iterable<Call> {
  for (const option of ["after", "leave", "pause", "take", "deadline", "priority", "tenant", "task"] as const) {
    if (call[option] === undefined) continue
    const { [option]: _, ...rest } = call
    yield rest
  }
  if (call.leave !== undefined && call.leave.turns > 0) yield { ...call, leave: { ...call.leave, turns: 0 } }
  if (call.prompt > 0) yield { ...call, prompt: 0 }
}

function* smallerAnswer(answer: Answer): Iterable<Answer> {
  for (const option of ["fault", "flood", "latency", "content", "repeats"] as const) {
    if (answer[option] === undefined) continue
    const { [option]: _, ...rest } = answer
    yield rest
  }
  const { content, latency } = answer
  if (content !== undefined && content.length > 1)
    for (const less of without(content)) yield { ...answer, content: less }
  for (const name of ["headers", "content", "gap"] as const) {
    if (latency?.[name] === undefined || latency[name] === 0) continue
    yield { ...answer, latency: { ...latency, [name]: 0 } }
  }
}
