/**
 * The state directory of a command that cannot do without it.
 */
import * as Effect from "effect/Effect"
import type { StateFiles } from "../storage/StateDirectory.ts"
import { CommandFailed } from "./CommandError.ts"
import { deviceTable } from "./DeviceTable.ts"
import type { Settings } from "./Settings.ts"

/** The files of the state directory. Fails when nothing may be stored, before anything is done. */
export const stored = ({ files }: Settings): Effect.Effect<StateFiles, CommandFailed> =>
  files === undefined ? Effect.suspend(() => Effect.fail(nothingStored())) : Effect.succeed(files)

const noState = `--${deviceTable.noState.flag} (${deviceTable.noState.variable})`

const nothingStored = () =>
  new CommandFailed({
    exit: "usage",
    error: "NothingStored",
    problem:
      `This needs a state directory, and with ${noState} there is none. Nothing was done. Leave the setting out, or name`
      + " what would be stored: the gateway by --gateway-url, for example."
  })

/** The key has to come from the settings when nothing may be stored. */
export const keyMissing = () =>
  new CommandFailed({
    exit: "settings",
    error: "IdentityAbsent",
    problem:
      `There is no key: with ${noState} none is created. Set OPENCLAW_DEVICE_IDENTITY_SEED or OPENCLAW_DEVICE_IDENTITY_PEM,`
      + ` or the same name with _FILE or _FD, or name a file of this program with ${deviceTable.identityPath.variable}. To make a`
      + " key once: openclaw-device identity create --state-dir <directory>"
  })
