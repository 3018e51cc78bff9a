import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as ByteSize from "effect/ByteSize"
import * as Config from "effect/Config"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { TaskJournal } from "../../src/tasks/TaskJournal.ts"
import { chat, connecting, said, start, started } from "./Fixture.ts"

/** So many tasks unless the variable asks for more: files take their time. The heap is compared with that after a tenth. */
const volumes = { memory: 10_000, file: 50 }
const volume = (journal: keyof typeof volumes) => Config.Int("TASK_VOLUME").pipe(Config.withDefault(volumes[journal]))

setFlagsFromString("--expose-gc")
const collect: unknown = runInNewContext("gc")
const heapBytes = () => {
  if (typeof collect === "function") collect()
  return process.memoryUsage().heapUsed
}

const kept = {
  memory: () => TaskJournal.layerMemory,
  file: (directory: string) =>
    TaskJournal.layerFile({ directory }).pipe(Layer.provide([NodeServices.layer, SecureRandom.layerWebCrypto]))
}

describe("many tasks in one process", () => {
  for (const journal of ["memory", "file"] as const) {
    it.effect(`B07: leave no register, no heap and no journal behind (${journal})`, () =>
      Effect.gen(function*() {
        const total = yield* volume(journal)
        const fs = yield* FileSystem.FileSystem
        const directory = yield* fs.makeTempDirectoryScoped()
        const { connect, next, runner } = yield* start({}, connecting, kept[journal](directory))
        const gateway = yield* connect()
        const journalBytes = Effect.gen(function*() {
          let bytes = 0
          for (const name of yield* fs.readDirectory(directory)) {
            bytes += Number(ByteSize.toBigInt((yield* fs.stat(`${directory}/${name}`)).size))
          }
          return bytes
        })
        let heapAtFirst = 0
        let largest = 0
        for (let count = 1; count <= total; count++) {
          const { taskId } = yield* runner.delegate(`task ${count}`, { sessionKey: `agent:main:${count % 300}` })
          const asked = yield* gateway.next("chat.send")
          if (count % 10 === 0) largest = Math.max(largest, yield* journalBytes)
          asked.answer(started(asked))
          yield* next("Sent")
          gateway.tell("chat", chat(asked, { state: "final", message: said(`reply ${count}`) }))
          yield* next("Replied")
          yield* runner.await(taskId)
          if (count === Math.floor(total / 10)) heapAtFirst = heapBytes()
        }
        // The journal lets go of the last one a moment after its end is told.
        yield* Effect.repeat(Effect.yieldNow, {
          until: () => Effect.map(fs.readDirectory(directory), (names) => names.length === 0)
        })
        const grownBytes = heapBytes() - heapAtFirst
        yield* Effect.logDebug("many tasks").pipe(Effect.annotateLogs({ total, grownBytes, largest }))
        assert.isBelow(grownBytes, 5 * 1024 * 1024)
        assert.isBelow(largest, 64 * 1024)
        if (journal === "file") assert.isAbove(largest, 0)
        assert.strictEqual((yield* runner.list).length, Math.min(total, 200))
        assert.strictEqual(gateway.pending(), 0)
      }).pipe(Effect.provide(NodeServices.layer)), 1_800_000)
  }
})
