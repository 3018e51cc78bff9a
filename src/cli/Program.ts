/**
 * All commands.
 */
import * as Command from "effect/cli/Command"
import { delegate } from "./Delegate.ts"
import { devices, tools } from "./Devices.ts"
import { doctor, status } from "./Diagnosis.ts"
import { fleet } from "./Fleet.ts"
import { gateway } from "./Gateway.ts"
import { identity } from "./Identity.ts"
import { mcp } from "./Mcp.ts"
import { pair } from "./Pair.ts"
import { replay } from "./Replay.ts"
import { root } from "./Root.ts"
import { run } from "./Run.ts"
import { init, settings } from "./Setup.ts"
import { tasks } from "./Tasks.ts"

export const program = root.pipe(
  Command.withSubcommands([
    init,
    pair,
    run,
    status,
    doctor,
    delegate,
    tasks,
    mcp,
    tools,
    devices,
    identity,
    fleet,
    settings,
    gateway,
    replay
  ])
)
