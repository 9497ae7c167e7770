export * as CacheUpkeep from "./CacheUpkeep.ts"
export * as Model from "./Model.ts"
