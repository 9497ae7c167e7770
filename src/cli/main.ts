#!/usr/bin/env node
// Sets up the process before anything large is loaded, then runs the command.
import { enableCompileCache } from "node:module"
import { setFlagsFromString } from "node:v8"
import * as OwnFolder from "./main/OwnFolder.ts"
import * as YoungHeap from "./main/YoungHeap.ts"

// With its compiled code kept between runs the command starts in two thirds of the time. NODE_DISABLE_COMPILE_CACHE=1
// turns that off. Node's own place for it is the shared temporary folder, where whoever made it first can change the code.
const cache = OwnFolder.cache("holdfast")
if (cache !== undefined) enableCompileCache(cache)

// V8 would let garbage grow to several times of what is in use. Collecting it earlier halves the memory of a run: see docs/decisions/0007.
setFlagsFromString("--heap-growing-percent=50")
YoungHeap.settle()

await import("./main/program.ts")
