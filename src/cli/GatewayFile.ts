/**
 * How the other commands find a gateway that this program runs itself: a private file in the state directory with its URL
 * and credentials, written when it listens and removed when it stops.
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
  /** The process that listens. A file whose process is gone was left behind by a crash, and says nothing. */
  pid: ProcessId,
  url: Schema.String,
  /** What devices present before they are paired. */
  sharedToken: Schema.RedactedFromValue(Schema.String),
  /** Admits whoever approves devices, without pairing. */
  operatorToken: Schema.RedactedFromValue(Schema.String)
})
export type RunningGateway = typeof RunningGateway.Type

const Document = Schema.fromJsonString(RunningGateway)
const decode = Schema.decodeUnknownOption(Document)
const encode = Schema.encodeEffect(Document)

/** The gateway that the file names, or none: a file that is absent, not ours, or left behind by a crash says nothing. */
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

/** Writes the file for as long as the scope is open. At its end it is removed, unless another gateway has taken it over. */
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
