/**
 * What the agent showed with its reply: images, and other files that the gateway keeps for it.
 *
 * The reply is text alone; a gateway from 2026.8 on lists the files of a run (`artifacts.list`), and gives each by a short-lived address
 * of its HTTP side (`artifacts.download`), which is fetched from the same place and recognised in the same way as the link. 2026.5 and
 * 2026.6 have the methods, but no file of a run can be had by them: the one gives it to the gateway's owner only, and the other leaves
 * the file's name in the text. Recorded in test/vectors/runs-*.json, scene `artifacts`.
 *
 * A gateway tells the end of a run to its session before it has kept the files, up to half a second. `agent.wait` tells it after that.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { AnswerInvalid, RequestError } from "../connection/RequestError.ts"
import type { Session } from "../connection/Session.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import { targetOf } from "../handshake/ConnectPlan.ts"
import { GatewayConfig } from "../handshake/GatewayConfig.ts"
import type { DialError, FileNotGiven } from "../link/LinkError.ts"
import { Transport } from "../link/Transport.ts"
import * as Bounds from "../protocol/Bounds.ts"
import { isBefore } from "../protocol/Connect.ts"
import * as Method from "../protocol/Method.ts"
import { field, lengths } from "../protocol/OutsideText.ts"
import { encodedBytes } from "./Attachment.ts"
import type { Task, TaskId } from "./Task.ts"
import type { TaskNotFound } from "./TaskError.ts"
import { TaskRunner } from "./TaskRunner.ts"

/** A file that the agent showed. Every text is the gateway's. */
export interface Artifact {
  readonly id: string
  /** `image`, `audio`, `video` or `file`. */
  readonly type: string
  /** Mostly the name of a file. */
  readonly title: string
  readonly mimeType: string | undefined
  /** The length that the gateway states. */
  readonly bytes: number | undefined
}

/** The files of a run could not be listed, or one of them could not be had. The task and its reply are as they were. */
export class ArtifactError extends Schema.TaggedError<ArtifactError>()("ArtifactError", {
  /**
   * `NotConnected`: there is no session now. `NotSupported`: this release gives no files of a run. `Refused`: the gateway, or its HTTP
   * side, did not give it. `Elsewhere`: it is on another host, which is not asked. `TooLarge`: more bytes than were asked for.
   * `Invalid`: what came is no file. `TimedOut`: it did not come in time.
   */
  reason: Schema.Literals(["NotConnected", "NotSupported", "Refused", "Elsewhere", "TooLarge", "Invalid", "TimedOut"]),
  /** The file's title as the gateway gave it. `message` has it as a field. */
  title: Schema.optionalKey(Schema.String),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    const what = this.title === undefined
      ? "the files of the run"
      : field(this.title, { maxLength: lengths.name }) || "a file of the run"
    switch (this.reason) {
      case "NotConnected":
        return `${what}: there is no connection to the gateway now`
      case "NotSupported":
        return `${what}: this release of OpenClaw does not give them`
      case "Refused":
        return `${what}: ${this.cause instanceof Error ? this.cause.message : "the gateway did not give it"}`
      case "Elsewhere":
        return `${what}: it is on another host than the gateway's, which is not asked`
      case "TooLarge":
        return `${what}: larger than what is taken`
      case "Invalid":
        return `${what}: the gateway gave no file`
      case "TimedOut":
        return `${what}: it did not come in time`
    }
  }
}

/**
 * The files of runs. Provided by `RunArtifacts.layer`, over the agent's `Supervisor` and `TaskRunner`. `GatewayConfig` has to have
 * the agent's settings: of a gateway that it does not name, no file is fetched.
 */
export class RunArtifacts extends Context.Service<RunArtifacts, {
  /**
   * What the agent showed in the run of a task, in order; at most 64. Waits until the gateway says that the run is over, or for five
   * seconds where it has forgotten the run.
   */
  readonly list: (taskId: TaskId) => Effect.Effect<ReadonlyArray<Artifact>, ArtifactError | TaskNotFound>
  /** The content of one of them, of at most `maxBytes`; 25 MiB unless given. Takes a minute at most. */
  readonly download: (
    taskId: TaskId,
    artifact: Artifact,
    maxBytes?: number
  ) => Effect.Effect<Uint8Array, ArtifactError | TaskNotFound>
}>()("effect-openclaw/tasks/RunArtifacts") {
  static readonly layer: Layer.Layer<
    RunArtifacts,
    never,
    GatewayConfig | Supervisor | TaskRunner | Transport
  > = Layer.effect(
    RunArtifacts,
    Effect.gen(function*() {
      const supervisor = yield* Supervisor
      const tasks = yield* TaskRunner
      const settings = yield* GatewayConfig
      const { fetch } = yield* Transport
      const session = Effect.flatMap(
        Stream.runHead(supervisor.changes),
        (now) =>
          Option.isSome(now) && now.value.status._tag === "Connected"
            ? Effect.succeed({ gatewayScope: now.value.gatewayScope, session: now.value.status.session })
            : Effect.fail(new ArtifactError({ reason: "NotConnected" }))
      )
      const get = (gatewayScope: string): Get | undefined =>
        fetch === undefined || gatewayScope !== settings.endpoint.gatewayScope
          ? undefined
          : (path, maxBytes) => fetch(targetOf(settings), path, maxBytes)
      return RunArtifacts.of({
        list: Effect.fn("RunArtifacts.list")(function*(taskId) {
          return yield* list((yield* session).session, yield* tasks.get(taskId))
        }),
        // Without a span, which would keep the content.
        download: Effect.fnUntraced(function*(taskId, artifact, maxBytes = Bounds.frameBytes.ceiling) {
          const { gatewayScope, session: asked } = yield* session
          return yield* download(asked, get(gatewayScope), yield* tasks.get(taskId), artifact, maxBytes)
        })
      })
    })
  )
}

const mostArtifacts = 64
const settledMs = 5000

/** Where a gateway looks for the files of a run. From 2026.9 on it can leave out what tools gave to the agent. */
const queryOf = ({ serverVersion }: Session["facts"], { runId, sessionKey }: Pick<Task, "runId" | "sessionKey">) => ({
  sessionKey,
  runId,
  ...(isBefore(serverVersion, "2026.9") === false ? { messageRole: "assistant" } : {})
})

const list = Effect.fnUntraced(function*({ call, facts }: Session, task: Task) {
  if (isBefore(facts.serverVersion, "2026.8") === true) return yield* new ArtifactError({ reason: "NotSupported" })
  yield* Effect.ignore(call(Method.agentWait, { runId: task.runId, timeoutMs: settledMs }))
  const { artifacts } = yield* Effect.mapError(
    call(Method.artifactsList, queryOf(facts, task)),
    // Old releases do not tell their version. A method that they do not know they refuse, or keep for administrators.
    (error) =>
      (error._tag === "RequestRejected" || error._tag === "MissingScope")
        && isBefore(facts.serverVersion, "2026.8") === undefined
        ? new ArtifactError({ reason: "NotSupported" })
        : refused(error)
  )
  return artifacts.slice(0, mostArtifacts).flatMap((told): ReadonlyArray<Artifact> => {
    const artifact = decodeArtifact(told)
    // Before 2026.9 images that tools gave to the agent are listed, too. What the agent showed has ids of its own kind.
    return Option.isSome(artifact) && (isBefore(facts.serverVersion, "2026.9") === false || isShown(artifact.value.id))
      ? [{
        id: artifact.value.id,
        type: artifact.value.type,
        title: artifact.value.title,
        mimeType: artifact.value.mimeType,
        bytes: artifact.value.sizeBytes
      }]
      : []
  })
})

const isShown = (id: string): boolean => id.startsWith("artifact_managed_")

const Told = Schema.Struct({
  id: Schema.NonEmptyString.check(Schema.isMaxLength(512)),
  type: Schema.Literals(["image", "audio", "video", "file"]),
  title: Schema.String,
  mimeType: Schema.optionalKey(Schema.String),
  sizeBytes: Schema.optionalKey(Schema.Natural)
})
const decodeArtifact = Schema.decodeUnknownOption(Told)

const downloadTimeout = "60 seconds"

/** Gets a file of the gateway's HTTP side. */
type Get = (path: string, maxBytes: number) => Effect.Effect<Uint8Array, DialError | FileNotGiven>

const download = (session: Session, get: Get | undefined, task: Task, artifact: Artifact, maxBytes: number) => {
  const failure = (reason: ArtifactError["reason"], cause?: unknown) =>
    new ArtifactError({ reason, title: artifact.title, ...(cause === undefined ? {} : { cause }) })
  return session.call(Method.artifactsDownload, { ...queryOf(session.facts, task), artifactId: artifact.id }).pipe(
    Effect.mapError((error) => refused(error, artifact.title)),
    Effect.flatMap(({ data, encoding, url }): Effect.Effect<Uint8Array, ArtifactError> => {
      if (encoding === "base64" && data !== undefined) return Effect.fromResult(decoded(data, maxBytes, failure))
      if (url === undefined) return Effect.fail(failure("Invalid"))
      if (get === undefined) return Effect.fail(failure("Elsewhere"))
      return Effect.mapError(get(url, maxBytes), (error) => {
        const reason = error._tag === "FileNotGiven" ? error.reason : undefined
        return reason === "NotHere"
          ? failure("Elsewhere")
          : reason === "TooLarge"
          ? failure("TooLarge")
          : failure("Refused", error)
      })
    }),
    Effect.timeoutOrElse({ duration: downloadTimeout, orElse: () => Effect.fail(failure("TimedOut")) })
  )
}

const decoded = (
  data: string,
  maxBytes: number,
  failure: (reason: ArtifactError["reason"]) => ArtifactError
): Result.Result<Uint8Array, ArtifactError> => {
  if (data.length > encodedBytes(maxBytes)) return Result.fail(failure("TooLarge"))
  const bytes = Base64.decode(data)
  if (Result.isFailure(bytes)) return Result.fail(failure("Invalid"))
  return bytes.success.length > maxBytes ? Result.fail(failure("TooLarge")) : Result.succeed(bytes.success)
}

const refused = (cause: RequestError | AnswerInvalid, title?: string): ArtifactError =>
  new ArtifactError({
    reason: cause._tag === "AnswerInvalid"
      ? "Invalid"
      : cause._tag === "RequestTimeout"
      ? "TimedOut"
      : cause._tag === "LinkError"
      ? "NotConnected"
      : "Refused",
    cause,
    ...(title === undefined ? {} : { title })
  })
