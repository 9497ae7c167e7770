/** `npm run fuzz` tries all readers of what others wrote, `npm run fuzz -- batch` the command that reads files of requests. */
await import(process.argv.includes("batch") ? "./batch.ts" : "./foreignText.ts")
