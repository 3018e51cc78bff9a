#!/usr/bin/env node
/**
 * What the installed command starts. It answers `--help` and `--version` from a file that the build made, and loads the
 * program for everything else. Nothing of Effect is loaded here.
 */
import "../NoDebugger.ts"
import { readFileSync } from "node:fs"
import process from "node:process"
import * as OutputErrors from "../OutputErrors.ts"
import { asFlags } from "../Words.ts"
import { type Answers, answerTo } from "./Answers.ts"
import * as CompileCache from "./CompileCache.ts"

/** Without the file, as in a folder that `tsc` alone has built, the program answers. */
const answers = (): Answers => {
  try {
    return JSON.parse(readFileSync(new URL("answers.json", import.meta.url), "utf8"))
  } catch {
    return {}
  }
}

const words = process.argv.slice(2)
const answer = answerTo(asFlags(words), answers, process.env, process.stdout.isTTY)
if (answer === undefined) {
  CompileCache.enable(words, import.meta.url)
  // A failure to load ends the process with its stack, as one of a static import does.
  void import("../Main.ts")
} else {
  OutputErrors.watch()
  process.stdout.write(`${answer}\n`)
}
