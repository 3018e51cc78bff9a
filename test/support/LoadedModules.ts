/**
 * What a process loads: `node --import LoadedModules.ts program` writes a line for each module into the file that the variable
 * `LOADED_MODULES` names. A line is the number of listeners for SIGUSR1 before the module is loaded, a blank, and its address.
 */
import { appendFileSync } from "node:fs"
import { registerHooks } from "node:module"

const file = process.env["LOADED_MODULES"]
if (file === undefined) throw new Error("LOADED_MODULES names no file")

registerHooks({
  load: (url, context, nextLoad) => {
    appendFileSync(file, `${process.listenerCount("SIGUSR1")} ${url}\n`)
    return nextLoad(url, context)
  }
})
