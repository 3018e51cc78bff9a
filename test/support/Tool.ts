/** A development tool of this project, run to its end as a child process. */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"
import * as ProcessGroup from "../interop/support/ProcessGroup.ts"

export const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "")

/** Runs a shell line, such as a script of `package.json`, in `folder`; it finds the tools that `npm ci` brings. */
export const run = Effect.fnUntraced(function*(folder: string, line: string) {
  const stdout: Array<string> = []
  const stderr: Array<string> = []
  const child = yield* ProcessGroup.spawn("/bin/sh", ["-c", line], {
    cwd: folder,
    env: { PATH: `${root}/node_modules/.bin:${process.env["PATH"] ?? ""}`, HOME: process.env["HOME"] ?? folder },
    onStdout: (text) => void stdout.push(text),
    onStderr: (text) => void stderr.push(text)
  })
  yield* child.endInput
  const { code } = yield* child.drained
  return { code, stdout: stdout.join("\n"), stderr: stderr.join("\n") }
}, Effect.scoped)

/** A folder with these files, beside the tools and the configuration of this project; the scope removes it. */
export const projectOf = Effect.fnUntraced(function*(files: Readonly<Record<string, string>>) {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped({ prefix: "effect-openclaw-tool-" })
  yield* fs.symlink(`${root}/node_modules`, `${folder}/node_modules`)
  for (const name of ["package.json", "tsconfig.json", ".oxlintrc.json", ".dprint.json", "test/lint"]) {
    yield* fs.copy(`${root}/${name}`, `${folder}/${name}`)
  }
  for (const [name, text] of Object.entries(files)) {
    yield* fs.makeDirectory(dirname(`${folder}/${name}`), { recursive: true })
    yield* fs.writeFileString(`${folder}/${name}`, text)
  }
  return folder
})
