import { assert, describe, it } from "@effect/vitest"
import type * as Tool from "effect/ai/Tool"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as TestClock from "effect/testing/TestClock"
import * as Agent from "../../src/agent/Agent.ts"
import * as TaskTools from "../../src/agent/TaskTools.ts"
import type { ConnectionStatus } from "../../src/connection/ConnectionStatus.ts"
import { Supervisor } from "../../src/connection/Supervisor.ts"
import { fromReply } from "../../src/devgateway/Agent.ts"
import { DevGateway } from "../../src/devgateway/DevGateway.ts"
import * as GatewayConfig from "../../src/handshake/GatewayConfig.ts"
import { ApproveCommands } from "../../src/pairing/ApproveCommand.ts"
import { RunId, TaskId } from "../../src/tasks/Task.ts"
import type { Task } from "../../src/tasks/Task.ts"
import { TaskRunner } from "../../src/tasks/TaskRunner.ts"
import * as MemoryGateway from "../../src/testing/MemoryGateway.ts"

type Tools = typeof TaskTools.TaskTools.tools

type Handlers = Tool.HandlersFor<Tools>

/** Calls a tool as a model does, and holds it to its 200 ms. */
const callOn = Effect.fnUntraced(function*<R>(context: Context.Context<R | Handlers>) {
  const toolkit = yield* Effect.provideContext(TaskTools.TaskTools, context)
  return Effect.fnUntraced(function*<Name extends keyof Tools>(
    name: Name,
    params: Tool.ParametersEncoded<Tools[Name]>
  ) {
    const calling = yield* Effect.forkChild(
      Effect.flatMap(toolkit.handle(name, params), Stream.runCollect),
      { startImmediately: true }
    )
    // Each step lets other fibers run. The clock stands still until the rest is waiting for it.
    for (const ms of [0, 0, 0, 0, 80, 0, 80, 0, 39, 0]) {
      if (calling.pollUnsafe() === undefined) yield* TestClock.adjust(ms)
    }
    assert.isDefined(calling.pollUnsafe(), "no answer within 200 ms")
    const [last] = (yield* Fiber.join(calling)).slice(-1)
    assert.isDefined(last)
    return { isFailure: last?.isFailure, ...decode(last?.encodedResult) }
  })
})

/** The answer as a model reads it. */
const decode = Schema.decodeUnknownSync(Schema.Union([
  TaskTools.TaskAnswer,
  Schema.Struct({ ...TaskTools.TaskRefusal.fields, task_id: Schema.optionalKey(Schema.Never) })
]))

/** An agent with its tools on a gateway in memory, in the test's scope. A call fails when it takes 200 ms of test time. */
const tools = Effect.fnUntraced(function*(
  options: Parameters<typeof MemoryGateway.layer>[0] & { readonly agent?: Agent.Options } = {}
) {
  const context = yield* Layer.build(
    TaskTools.layer.pipe(
      Layer.provideMerge(Agent.layer(options.agent)),
      Layer.provideMerge(MemoryGateway.layer(options))
    )
  )
  const gateway = Context.get(context, DevGateway)
  const supervisor = Context.get(context, Supervisor)
  const runner = Context.get(context, TaskRunner)
  const call = yield* callOn(context)
  return {
    gateway,
    supervisor,
    runner,
    delegate: (summary: string) => call("claw_task_delegate", { summary }),
    status: (task_id: string) => call("claw_task_status", { task_id }),
    abort: (task_id: string) => call("claw_task_abort", { task_id })
  }
})

const request = (gateway: DevGateway["Service"]) =>
  Effect.map(gateway.awaitState(({ pending }) => pending.length > 0), ({ pending: [first] }) => first?.requestId ?? "")

const connected = (supervisor: Supervisor["Service"]) =>
  Effect.asVoid(Stream.runHead(Stream.filter(supervisor.changes, ({ status }) => status._tag === "Connected")))

/** No approval is needed, so that the connection is there at once. */
const admitted = { client: { token: Redacted.make("operator-token") } }

describe("task tools", () => {
  it.effect("F52: before approval it says who has to do what, names the task, and keeps it until it is done", () =>
    Effect.gen(function*() {
      const { delegate, gateway, runner, status, supervisor } = yield* tools()
      const requestId = yield* request(gateway)
      const answer = yield* delegate("water the plants")
      assert.isFalse(answer.isFailure)
      assert.strictEqual(answer.status, "queued")
      const taskId = answer.task_id ?? ""
      assert.match(taskId, /^[0-9a-f]{8}$/)
      assert.include(answer.message, `Task ${taskId} is kept`)
      assert.include(answer.message, "A person has to approve this device")
      assert.include(answer.message, `openclaw devices approve ${requestId}`)
      assert.strictEqual((yield* status(taskId)).message, answer.message)

      yield* gateway.approve(requestId)
      yield* supervisor.checkNow
      yield* connected(supervisor)
      yield* runner.await(TaskId.make(taskId))
      const done = yield* status(taskId)
      assert.strictEqual(done.status, "completed")
      assert.include(done.message, `Task ${taskId} is completed.`)
      assert.include(done.message, "echo: water the plants")
    }))

  it.effect("a model that asks is somebody who waits: the approval is found within 3 s, and asking often asks no more often", () =>
    Effect.gen(function*() {
      const { delegate, gateway, status, supervisor } = yield* tools()
      yield* request(gateway)
      const { attempts } = yield* gateway.stats
      const { task_id = "" } = yield* delegate("one")
      for (let call = 0; call < 14; call++) yield* status(task_id) // 2.8 s
      assert.isAtMost((yield* gateway.stats).attempts - attempts, 2)
      yield* gateway.approve(yield* request(gateway))
      const waiting = yield* Effect.forkChild(connected(supervisor))
      yield* TestClock.adjust(3000)
      yield* Fiber.join(waiting)
    }))

  it.effect("sent, running and completed are told apart, and the result is fenced", () =>
    Effect.gen(function*() {
      const go = yield* Deferred.make<void>()
      const { delegate, runner, status, supervisor } = yield* tools({
        ...admitted,
        gateway: { agent: fromReply(() => Effect.as(Deferred.await(go), "the ``` end")) }
      })
      yield* connected(supervisor)
      const sent = yield* delegate("one")
      assert.strictEqual(sent.status, "sent")
      assert.include(sent.message, `Task ${sent.task_id} was sent`)
      const second = yield* delegate("two")
      assert.strictEqual(second.status, "queued")
      assert.include(second.message, "An earlier task of the same conversation is not done")
      const taskId = sent.task_id ?? ""
      assert.oneOf((yield* status(taskId)).status, ["sent", "running"])
      yield* Deferred.succeed(go, undefined)
      yield* runner.await(TaskId.make(taskId))
      assert.match((yield* status(taskId)).message, /\n````\nthe ``` end\n````$/)
    }))

  it.effect("on a suspended gateway it says so, and sends the task by itself", () =>
    Effect.gen(function*() {
      const { delegate, gateway, runner, status, supervisor } = yield* tools(admitted)
      yield* connected(supervisor)
      yield* gateway.suspend("draining")
      const { message, status: how, task_id = "" } = yield* delegate("one")
      assert.strictEqual(how, "queued")
      assert.include(message, `Task ${task_id} is kept and not sent yet. The gateway is suspended;`)
      yield* gateway.suspend("accepting")
      yield* runner.await(TaskId.make(task_id))
      assert.strictEqual((yield* status(task_id)).status, "completed")
    }))

  it.effect("without a link it says so, and sends the task by itself", () =>
    Effect.gen(function*() {
      const { delegate, gateway, runner, status, supervisor } = yield* tools(admitted)
      yield* connected(supervisor)
      yield* gateway.stop
      const { message, status: how, task_id = "" } = yield* delegate("one")
      assert.strictEqual(how, "queued")
      assert.include(message, `Task ${task_id} is kept`)
      assert.match(message, /There is no connection to the gateway: .*The next try is in \d+ seconds/s)
      yield* gateway.start
      const done = yield* Effect.forkChild(runner.await(TaskId.make(task_id)))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(done)
      assert.strictEqual((yield* status(task_id)).status, "completed")
    }))

  it.effect("halted: the reason and what to do, with no secret in it", () =>
    Effect.gen(function*() {
      const { delegate, supervisor } = yield* tools({ client: { token: Redacted.make("a-wrong-one") } })
      yield* Stream.runHead(Stream.filter(supervisor.changes, ({ status }) => status._tag === "Halted"))
      const answer = yield* delegate("one")
      assert.strictEqual(answer.status, "queued")
      assert.include(answer.message, `Task ${answer.task_id} is kept`)
      assert.include(answer.message, "has been given up")
      assert.include(answer.message, "OPENCLAW_GATEWAY_TOKEN")
      assert.notInclude(answer.message, "a-wrong-one")
    }))

  it.effect("an approval that nobody gave in an hour is asked for again when the model asks", () =>
    Effect.gen(function*() {
      const { delegate, gateway, status, supervisor } = yield* tools()
      yield* request(gateway)
      yield* TestClock.adjust("2 hours")
      assert.strictEqual((yield* supervisor.status)._tag, "Halted")
      const { message, task_id = "" } = yield* delegate("one")
      assert.include(message, "is asked again now")
      assert.include((yield* status(task_id)).message, `openclaw devices approve ${yield* request(gateway)}`)
    }))

  it.effect("a refusal is an answer: empty, too large, too many, no such task", () =>
    Effect.gen(function*() {
      const { abort, delegate, status } = yield* tools()
      const refused = (reason: string, answer: Effect.Success<ReturnType<typeof delegate>>) => {
        assert.deepInclude(answer, { isFailure: true, status: "refused", reason })
      }
      refused("TaskRefused.Empty", yield* delegate(" \n "))
      refused("TaskRefused.TooLarge", yield* delegate("x".repeat(70_000)))
      refused("NotFound", yield* status("00000000"))
      refused("NotFound", yield* abort("no such\ntask"))
      for (let task = 0; task < 100; task++) yield* delegate(`task ${task}`)
      refused("TaskRefused.TooMany", yield* delegate("one more"))
    }))

  it.effect("abort: a kept task at once, a running one through the gateway, an ended one never", () =>
    Effect.gen(function*() {
      const kept = yield* tools()
      const { task_id = "" } = yield* kept.delegate("one")
      const aborted = yield* kept.abort(task_id)
      assert.deepInclude(aborted, { status: "aborted", message: aborted.message })
      assert.include(aborted.message, `Task ${task_id} was aborted.`)
      assert.include((yield* kept.abort(task_id)).message, "It had ended already.")

      const running = yield* tools({ ...admitted, gateway: { agent: fromReply(() => Effect.never) } })
      yield* connected(running.supervisor)
      const { task_id: other = "" } = yield* running.delegate("two")
      yield* running.abort(other)
      assert.deepInclude(yield* running.runner.await(TaskId.make(other)), { _tag: "Aborted" })
      assert.strictEqual((yield* running.status(other)).status, "aborted")
    }))

  it.effect("an answer that came late is told, although the task had expired", () =>
    Effect.gen(function*() {
      const go = yield* Deferred.make<void>()
      const { delegate, runner, status, supervisor } = yield* tools({
        ...admitted,
        gateway: { agent: fromReply(() => Effect.as(Deferred.await(go), "at last")) },
        agent: { taskTimeout: Duration.seconds(10) }
      })
      yield* connected(supervisor)
      const { task_id = "" } = yield* delegate("one")
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual((yield* status(task_id)).status, "expired")
      const late = yield* Effect.forkChild(
        Stream.runHead(Stream.filter(runner.events, ({ _tag }) => _tag === "Replied")),
        { startImmediately: true }
      )
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(late)
      const answer = yield* status(task_id)
      assert.strictEqual(answer.status, "completed")
      assert.include(answer.message, `Task ${task_id} is completed, late.`)
      assert.include(answer.message, "at last")
    }))

  it.effect("abort of a task that expired stops the run that is still at work, and says so", () =>
    Effect.gen(function*() {
      const { abort, delegate, supervisor } = yield* tools({
        ...admitted,
        gateway: { agent: fromReply(() => Effect.never) },
        agent: { taskTimeout: Duration.seconds(10) }
      })
      yield* connected(supervisor)
      const { task_id = "" } = yield* delegate("one")
      yield* TestClock.adjust("11 seconds")
      const stopped = yield* abort(task_id)
      assert.strictEqual(stopped.status, "expired")
      assert.match(stopped.message, /^It had ended already; OpenClaw, still at work on it, was stopped\.\nTask /)
      assert.match((yield* abort(task_id)).message, /^It had ended already\.\nTask /)
    }))

  it.effect("paused, and pointed at another gateway: it says which, names the task, and asks nobody to wait for it", () =>
    Effect.gen(function*() {
      const { delegate, status, supervisor } = yield* tools(admitted)
      yield* connected(supervisor)
      yield* supervisor.pause
      const { message, status: how, task_id = "" } = yield* delegate("one")
      assert.strictEqual(how, "queued")
      assert.include(message, `Task ${task_id} is kept and not sent yet. The connection is paused`)
      yield* supervisor.reconfigure(yield* Effect.fromResult(GatewayConfig.check({ url: "ws://127.0.0.9:1" })))
      yield* TestClock.adjust("1 second")
      const moved = yield* status(task_id)
      assert.strictEqual(moved.status, "queued")
      assert.include(moved.message, `Task ${task_id} is kept. It is for another gateway`)
    }))

  it.effect("waits neither for a gateway that does not answer an abort, nor for a connection that does not come", () =>
    Effect.gen(function*() {
      const task: Task = {
        taskId: TaskId.make("1a2b3c4d"),
        runId: RunId.make("a-run"),
        sessionKey: "agent:main:main",
        summary: "one",
        acceptedAtMs: 0,
        inherited: false,
        state: { _tag: "Running", phase: "tool · browser" }
      }
      const connecting: ConnectionStatus = { _tag: "Connecting", attempt: 1 }
      const status = yield* SubscriptionRef.make<ConnectionStatus>(connecting)
      const call = yield* Effect.flatMap(
        Layer.build(TaskTools.layer.pipe(Layer.provide([
          Layer.mock(TaskRunner, {
            events: Stream.never,
            get: () => Effect.succeed(task),
            list: Effect.succeed([task]),
            abort: () => Effect.never,
            delegate: () => Effect.succeed({ taskId: task.taskId, runId: task.runId, queued: "Offline" })
          }),
          Layer.mock(Supervisor, {
            status: SubscriptionRef.get(status),
            changes: Stream.map(
              SubscriptionRef.changes(status),
              (now) => ({ gatewayScope: "ws://127.0.0.1:18789/", status: now })
            ),
            checkNow: Effect.void
          }),
          Layer.orDie(ApproveCommands.layer({ _tag: "host" }))
        ]))),
        callOn
      )
      const aborting = yield* call("claw_task_abort", { task_id: "1a2b3c4d" })
      assert.strictEqual(aborting.status, "running")
      assert.include(aborting.message, "was asked, or is asked with the next connection, to stop task 1a2b3c4d")
      assert.include((yield* call("claw_task_status", { task_id: "1a2b3c4d" })).message, "(tool · browser)")
      assert.include((yield* call("claw_task_delegate", { summary: "one" })).message, "is being made")
    }))
})
