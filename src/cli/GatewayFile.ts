/**
 * The file by which other commands find the gateway that this program runs itself: a private file in the state directory
 * with its URL and credentials, written when it listens and removed when it stops.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { PrivateFile } from "../storage/PrivateFile.ts"
import * as StorageWarning from "../storage/StorageWarning.ts"
import { ProcessId } from "../tasks/TaskOwner.ts"
import { Processes } from "./Invocation.ts"

export const RunningGateway = Schema.Struct({
  version: Schema.Literal(1),
  /** The process that listens. When it is gone, the file is a leftover of a crash. */
  pid: ProcessId,
  url: Schema.String,
  /** The credential of devices that are not paired yet. */
  sharedToken: Schema.RedactedFromValue(Schema.String),
  /** The credential of the operator who approves devices. It needs no pairing. */
  operatorToken: Schema.RedactedFromValue(Schema.String)
})
export type RunningGateway = typeof RunningGateway.Type

const Document = Schema.fromJsonString(RunningGateway)
const decode = Schema.decodeUnknownOption(Document)
const encode = Schema.encodeEffect(Document)

/** The running gateway that the file names; nothing for a file that is absent, invalid or a leftover of a crash. */
export const read = Effect.fn("GatewayFile.read")(function*(path: string) {
  const files = yield* PrivateFile
  const { isAlive } = yield* Processes
  const found = yield* files.read(path)
  if (Option.isSome(found)) yield* log(found.value.warnings)
  return found.pipe(
    Option.flatMap(({ bytes }) => decode(new TextDecoder().decode(bytes))),
    Option.filter(({ pid }) => isAlive(pid))
  )
})

/** Writes the file, and removes it when the scope closes, unless another gateway has replaced it. */
export const publish = Effect.fn("GatewayFile.publish")(function*(path: string, gateway: RunningGateway) {
  const files = yield* PrivateFile
  const text = yield* Effect.orDie(encode(gateway))
  yield* Effect.acquireRelease(
    Effect.tap(files.replace(path, new TextEncoder().encode(`${text}\n`)), ({ warnings }) => log(warnings)),
    () =>
      Effect.flatMap(Effect.option(read(path)), (now) => {
        const current = Option.flatten(now)
        return Option.isSome(current) && sameGateway(current.value, gateway)
          ? Effect.ignore(files.remove(path))
          : Effect.void
      }).pipe(Effect.provideService(PrivateFile, files))
  )
})

const log = (warnings: ReadonlyArray<StorageWarning.StorageWarning>) =>
  Effect.flatMap(StorageWarning.makeLog, (logNew) => logNew(warnings))

const sameGateway = (a: RunningGateway, b: RunningGateway): boolean =>
  a.url === b.url && Redacted.value(a.operatorToken) === Redacted.value(b.operatorToken)
