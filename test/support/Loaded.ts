/** The modules that a process has loaded, told by `LoadedModules.ts`. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { fileURLToPath } from "node:url"

export interface Loaded {
  readonly url: string
  /** Listeners for SIGUSR1 at that moment. */
  readonly listeners: number
}

const hook = new URL("LoadedModules.ts", import.meta.url)

/** Variables with which a process tells its modules into a new file, and what it has told. */
export const recorder = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const file = `${yield* fs.makeTempDirectoryScoped({ prefix: "effect-openclaw-loaded-" })}/modules`
  const loaded: Effect.Effect<ReadonlyArray<Loaded>> = Effect.map(
    Effect.orDie(fs.readFileString(file)),
    (text) =>
      text.trim().split("\n").map((line) => {
        const [listeners = "", url = ""] = line.split(" ")
        return { listeners: Number(listeners), url }
      })
  )
  return { env: { NODE_OPTIONS: `--import ${hook.href}`, LOADED_MODULES: file }, loaded }
})

/** The source files in the bundled files among them, by the comments of the bundler. */
export const sources = Effect.fnUntraced(function*(loaded: ReadonlyArray<Loaded>) {
  const fs = yield* FileSystem.FileSystem
  const texts = yield* Effect.forEach(loaded, ({ url }) => Effect.orDie(fs.readFileString(fileURLToPath(url))))
  const names = texts.flatMap((text) => [...text.matchAll(/^\/\/ ((?:src|node_modules|builtin)[/:].*)$/gm)])
  return [...new Set(names.map(([, name]) => name ?? ""))]
})
