import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Layer, Redacted, Stream } from "effect"
import { Agent, NodejsHost, PairingNotifier, TaskRunner } from "effect-openclaw"

const program = Effect.gen(function*() {
  const notifier = yield* PairingNotifier
  const tasks = yield* TaskRunner
  yield* Effect.forkScoped(Stream.runForEach(notifier.notices, (notice) => Console.log(notice)))
  const { taskId } = yield* tasks.delegate("summarise my inbox") // kept until a person has approved the device
  yield* Console.log(yield* tasks.await(taskId))
}).pipe(Effect.scoped, Effect.provide(Agent.layer()))

const host = NodejsHost.layer({ gateway: { token: Redacted.make("…") }, stateDirectory: "/var/lib/my-agent" })
NodeRuntime.runMain(program.pipe(Effect.provide(host.pipe(Layer.provide(NodeServices.layer)))))
