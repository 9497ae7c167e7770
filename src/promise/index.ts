/**
 * Promise: the library for plain TypeScript. Promises out, signals in, `for await`; no Effect in sight.
 *
 * `Client.ts` is what people use; what it is made of is in `ClientOptions.ts`, what calls and jobs are given and give in `Call.ts`
 * and `Job.ts`. In `client/`, which is its inside, `client/Runner.ts` is the border at which effects become promises.
 */
export type * from "./Call.ts"
export * from "./Client.ts"
export type * from "./ClientOptions.ts"
export * from "./FakeModel.ts"
export * from "./HoldfastError.ts"
export type * from "./Job.ts"
