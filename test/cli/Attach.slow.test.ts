import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { drawnImage } from "../interop/support/ModelStub.ts"
import * as Cli from "./Cli.ts"
import * as Shell from "./Shell.ts"

const limit = 90_000
const dot = `printf %s ${drawnImage} | base64 -d > dot.png`

describe("files of delegate", () => {
  it.live(
    "files go with the task, and what the agent shows is saved under free names, for its owner alone",
    () =>
      Effect.gen(function*() {
        const { stateDir } = yield* Shell.approved
        const script = `${dot}; printf 'a note' > note.md; mkdir out; echo mine > out/note.md
        $CLI delegate "see this" --attach dot.png --attach note.md --save out
        echo $?
        cmp dot.png out/dot.png && cmp note.md out/note-2.md && cat out/note.md && stat -c %a out/dot.png
        $CLI delegate "again" --attach dot.png --save deep/out --quiet && ls deep/out && stat -c %a deep/out
        $CLI delegate "none" --save none && ls none
        find $STATE/tasks -type f`
        const { code, stderr, stdout } = yield* Shell.finished(script, { stateDir })
        assert.deepStrictEqual(
          [code, ...stdout],
          [0, "echo: see this", "0", "mine", "600", "echo: again", "dot.png", "700", "echo: none"]
        )
        assert.match(stderr, /^task \S+ saved out\/dot\.png \(70 bytes, image\/png\)$/m)
        assert.match(stderr, /^task \S+ saved out\/note-2\.md \(6 bytes, text\/markdown\)$/m)
        assert.lengthOf(stderr.match(/saved/g) ?? [], 2, "nothing of a quiet one")
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )

  it.live("--json tells what was saved, and no event and no log holds what is in a file", () =>
    Effect.gen(function*() {
      const { stateDir } = yield* Shell.approved
      const script = `${dot}
        $CLI delegate "see this" --attach dot.png --save out --json --log-level debug --record run.jsonl
        cat run.jsonl >&2`
      const { stderr, stdout } = yield* Shell.finished(script, { stateDir })
      const saved = stdout.flatMap((line) => {
        const { at: _, path, taskId: __, ...rest } = JSON.parse(line)
        return rest.event === "task.saved" ? [{ ...rest, file: String(path).split("/").at(-1) }] : []
      })
      assert.deepStrictEqual(saved, [
        { event: "task.saved", title: "dot.png", mimeType: "image/png", bytes: 70, file: "dot.png" }
      ])
      for (const text of [stderr, stdout.join("\n")]) assert.notInclude(text, drawnImage.slice(0, 40))
      assert.include(stderr, "chat.send", "the recording is there")
      assert.notInclude(stderr, "mediaTicket")
    }).pipe(Effect.provide(Cli.platform)), limit)

  it.live(
    "a file that is not there, or too large, and a directory that cannot be made, are told before anything is sent",
    () =>
      Effect.gen(function*() {
        const { stateDir } = yield* Shell.approved
        const script =
          `${dot}; cp dot.png big.png; truncate -s 6291457 big.png; mkdir folder; echo taken > taken; echo > empty
        for file in none.png folder /dev/zero; do $CLI delegate x --attach $file; echo "$? $file"; done
        $CLI delegate x --save taken/out; echo "$? save"
        $CLI delegate x --attach big.png; echo "$? big"
        : > empty; $CLI delegate x --attach empty; echo "$? empty"
        find $STATE/tasks -name '*.attachment'`
        const { stderr, stdout } = yield* Shell.finished(script, { stateDir })
        assert.deepStrictEqual(stdout, [
          "78 none.png",
          "78 folder",
          "78 /dev/zero",
          "78 save",
          "1 big",
          "64 empty"
        ])
        assert.include(stderr, "none.png is not there.")
        assert.match(stderr, /folder is no regular file\. Name a file\./)
        assert.include(stderr, "big.png has 6291457 bytes, and the gateway takes images of at most 6291456")
        assert.include(stderr, "task refused: empty is empty. Leave it out")
      }).pipe(Effect.provide(Cli.platform)),
    limit
  )
})
