/**
 * Many agents in one process: each name gets a device and a connection of its own when it is first asked for, and loses them
 * when it is no longer used. What the host gives them in common, such as `Admission`, they share.
 */
import * as Agent from "effect-openclaw/agent/Agent"
import { TaskRunner } from "effect-openclaw/tasks/TaskRunner"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LayerMap from "effect/LayerMap"

/** `host` gives what an agent of this name needs: an identity and a task journal of its own, and the rest. */
export const fleet = <E, R>(host: (name: string) => Layer.Layer<Agent.Requirements, E, R>) =>
  LayerMap.make(
    (name: string) =>
      // Fresh, as a layer that two agents have in common would be built once, for the first of them.
      Layer.fresh(Agent.layer({ sessionKey: `agent:main:${name}` })).pipe(Layer.provide(host(name))),
    { idleTimeToLive: "5 minutes" }
  )

/** One task, and its outcome. */
export const ask = Effect.fnUntraced(function*(summary: string) {
  const tasks = yield* TaskRunner
  const { taskId } = yield* tasks.delegate(summary)
  return yield* tasks.await(taskId)
})
