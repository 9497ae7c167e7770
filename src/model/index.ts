export * as Model from "./Model.ts"
