/**
 * `fleet`: many devices over many machines. Everything behind these commands is loaded when one of them runs, and with it
 * `@effect/sql-pg`, which the other commands do not need.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { time } from "../settings/Setting.ts"
import { checkedFlag } from "./SettingFlag.ts"

const commands = Effect.promise(() => import("./FleetCommands.ts"))
const follower = Effect.promise(() => import("./FleetEvents.ts"))
const runner = Effect.promise(() => import("./FleetRun.ts"))

const name = Argument.String("name").pipe(
  Argument.withDescription("The name of a device: a-z, 0-9, dot, dash and underscore")
)
const names = Argument.variadic(name, { min: 1 })
const oneName = Argument.optional(name)

const migrate = Command.make("migrate", {}, () => Effect.flatMap(commands, ({ migrate }) => migrate)).pipe(
  Command.withDescription("Make the tables of the fleet in its database, where they are missing"),
  Command.withExamples([{ command: "openclaw-device fleet migrate", description: "Before the first runner starts" }])
)

const run = Command.make("run", {
  metricsPort: Flag.Int("metrics-port").pipe(
    Flag.withDescription("Serve /ready and /metrics (Prometheus) on this port of 127.0.0.1"),
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 }))),
    Flag.optional
  )
}, ({ metricsPort }) => Effect.flatMap(runner, ({ run }) => run(metricsPort))).pipe(
  Command.withDescription("Be a runner of the fleet: connect the devices that fall to this machine"),
  Command.withExamples([{
    command: "openclaw-device fleet run --json",
    description: "Until a signal, as lines of JSON"
  }])
)

const add = Command.make("add", { names }, ({ names }) => Effect.flatMap(commands, ({ add }) => add(names))).pipe(
  Command.withDescription("Register devices; a runner connects them within seconds"),
  Command.withExamples([{ command: "openclaw-device fleet add lamp-1 lamp-2", description: "Two devices" }])
)

const remove = Command.make("remove", {
  name,
  destroy: Flag.Boolean("destroy-identity").pipe(
    Flag.withDescription("Delete its keys and tokens too: a device of this name is a new one then"),
    Flag.withDefault(false)
  )
}, ({ destroy, name }) => Effect.flatMap(commands, ({ remove }) => remove(name, destroy))).pipe(
  Command.withDescription("Remove a device: its link is closed, and its open tasks end"),
  Command.withExamples([{ command: "openclaw-device fleet remove lamp-1", description: "It keeps its identity" }])
)

const list = Command.make("list", {}, () => Effect.flatMap(commands, ({ list }) => list)).pipe(
  Command.withDescription("List the devices with their runners and states"),
  Command.withExamples([{ command: "openclaw-device fleet list --json", description: "One object for each device" }])
)

const status = Command.make(
  "status",
  { name: oneName },
  ({ name }) => Effect.flatMap(commands, ({ status }) => status(name))
).pipe(
  Command.withDescription("Show the runners and how many devices are in which state, or where one device stands"),
  Command.withExamples([{ command: "openclaw-device fleet status", description: "Of the whole fleet" }])
)

const approve = Command.make(
  "approve",
  { name: oneName },
  ({ name }) => Effect.flatMap(commands, ({ approve }) => approve(name))
).pipe(
  Command.withDescription(
    "Show what waits for approval, with the command for each that is to be run on the gateway host"
  ),
  Command.withExamples([{ command: "openclaw-device fleet approve", description: "Of all devices" }])
)

const since = checkedFlag({
  ...time("1 second", "7 days"),
  flag: "since",
  about: "also what was told so long ago or later, as far as it is kept"
})

const events = Command.make(
  "events",
  { names: Argument.variadic(name), since },
  ({ names, since }) => Effect.flatMap(follower, ({ events }) => events(names, since))
).pipe(
  Command.withDescription("Follow what the devices of all runners tell, or some of them, until Ctrl-C"),
  Command.withExamples([{
    command: "openclaw-device fleet events --json --since 10m",
    description: "Those of the last ten minutes, and what follows, as lines of JSON"
  }])
)

const delegate = Command.make("delegate", {
  name,
  text: Argument.String("text").pipe(Argument.withDescription("What the gateway's agent is to do")),
  key: Flag.String("key").pipe(
    Flag.withDescription("Names the task: asked again with the same key, it is the same task with the same answer")
  )
}, ({ key, name, text }) => Effect.flatMap(commands, ({ delegate }) => delegate(name, text, key))).pipe(
  Command.withDescription("Delegate a task to a device, wherever it runs, and wait for the answer"),
  Command.withExamples([{
    command: 'openclaw-device fleet delegate lamp-1 "water the plants" --key 2026-11-27-plants',
    description: "Once, however often it is asked"
  }])
)

export const fleet = Command.make("fleet").pipe(
  Command.withDescription("Run thousands of devices over many machines, with a database in common"),
  Command.withExamples([{
    command: "openclaw-device fleet status",
    description: "Runners, devices by state, approvals"
  }]),
  Command.withSubcommands([migrate, run, add, remove, list, status, events, approve, delegate])
)
