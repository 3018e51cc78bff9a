/**
 * `delegate`: one task, its events, its reply.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { AgentEvents } from "../agent/AgentEvents.ts"
import { Supervisor } from "../connection/Supervisor.ts"
import type { AgentEvent, Failure } from "../protocol/AgentEvent.ts"
import { TaskRunner } from "../tasks/TaskRunner.ts"
import { agent, approveCommands, chosenGateway, ownIdentity, settings } from "./AgentLayer.ts"
import type { ExitCode } from "./CommandError.ts"
import { as, CommandFailed } from "./CommandError.ts"
import { adviceOf, Output } from "./Output.ts"
import { root } from "./Root.ts"

/** The exit status for a connection that did not come about. */
export const exitOf = (cause: { readonly _tag: string }): ExitCode => {
  switch (cause._tag) {
    case "PairingRequired":
    case "ApprovalTimedOut":
      return "pairing"
    case "AuthRejected":
    case "RateLimited":
      return "credential"
    case "LinkError":
    case "ChallengeTimeout":
    case "HelloTimeout":
    case "GatewayUnavailable":
    case "UpgradeRejected":
      return "unreachable"
    case "EndpointInvalid":
    case "InsecureUrl":
      return "settings"
    default:
      return "refused"
  }
}

export const delegate = Command.make("delegate", {
  task: Argument.String("task").pipe(Argument.withDescription("What to do, in words")),
  session: Flag.String("session").pipe(
    Flag.withDescription("The conversation it goes to"),
    Flag.optional
  ),
  wait: Flag.Boolean("wait").pipe(
    Flag.withDescription("Wait for approval and for a gateway that is not there, instead of giving up"),
    Flag.withDefault(false)
  )
}, ({ session, task, wait }) =>
  Effect.gen(function*() {
    const { gatewayUrl, json, stateDir } = yield* root
    yield* Effect.gen(function*() {
      const output = yield* Output
      const checked = yield* settings({ gatewayUrl, stateDir, session })
      const gateway = yield* chosenGateway(checked, "sharedToken")
      const commands = approveCommands(checked, gateway.endpoint.gatewayScope)
      yield* Effect.gen(function*() {
        const events = yield* AgentEvents
        const tasks = yield* TaskRunner
        const supervisor = yield* Supervisor
        if (wait) yield* supervisor.attend
        const done = yield* Deferred.make<void, CommandFailed>()
        let taskId = ""
        const follow = (event: AgentEvent) =>
          Effect.andThen(
            output.event(event),
            Effect.suspend(() => {
              const end = ending(event, taskId, wait)
              return end === undefined ? Effect.void : Deferred.done(done, end)
            })
          )
        yield* Effect.forkScoped(Effect.ignoreCause(Stream.runForEach(events.events, follow), { log: "Error" }))
        const receipt = yield* Effect.mapError(tasks.delegate(task), as("usage"))
        taskId = receipt.taskId
        yield* Deferred.await(done)
      }).pipe(
        Effect.scoped,
        Effect.provide(agent(checked, gateway, { embedded: false, commands })),
        Effect.provide(ownIdentity(checked)),
        Effect.mapError((error) => error._tag === "CommandFailed" ? error : as("settings")(error))
      )
    }).pipe(Effect.provide(Output.layer(json)))
  })).pipe(
    Command.withDescription("Delegate one task and print its reply"),
    Command.withExamples([{
      command: 'openclaw-device delegate "summarise my inbox" --wait',
      description: "Wait for approval if it is needed, then for the reply"
    }])
  )

const told = (failure: Failure): string => [failure.message, ...adviceOf(failure)].join("\n")

/** Whether an event ends the command, and how. */
const ending = (event: AgentEvent, taskId: string, wait: boolean): Exit.Exit<void, CommandFailed> | undefined => {
  const fail = (exit: ExitCode, error: string, problem: string) =>
    Exit.fail(new CommandFailed({ exit, error, problem }))
  switch (event.event) {
    case "task.reply":
      return event.taskId === taskId ? Exit.void : undefined
    case "task.failed":
      return event.taskId === taskId ? fail("failed", event.error.error, event.error.message) : undefined
    case "pairing.required":
    case "pairing.superseded":
      return wait
        ? undefined
        : fail(
          "pairing",
          "PairingRequired",
          "this device has to be approved first (see above); then run this again, or add --wait"
        )
    case "waiting":
      return wait ? undefined : fail(exitOf({ _tag: event.cause.error }), event.cause.error, told(event.cause))
    case "halted":
      return fail(exitOf({ _tag: event.error.error }), event.error.error, told(event.error))
    default:
      return undefined
  }
}
