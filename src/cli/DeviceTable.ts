/**
 * The settings that only the commands have. Those of the gateway's client are in `handshake/GatewayTable.ts`, those that hold
 * the identity's secrets in `identity/IdentitySecrets.ts`.
 */
import * as Result from "effect/Result"
import { anyText, count, oneOf, path, secret, setting, text, time } from "../settings/Setting.ts"
import * as GatewayPlace from "./GatewayPlace.ts"

/** Read where it is needed: a descriptor can be read once. */
export const setupTable = {
  setupCode: setting(secret("a setup code, oc-pair:// link or join URL", Result.succeed), {
    variable: "OPENCLAW_SETUP_CODE",
    about: "what pair and run --pair use in place of standard input"
  })
}

export const deviceTable = {
  identityPath: setting(path("a file of this program"), {
    variable: "OPENCLAW_GATEWAY_DEVICE_IDENTITY_PATH",
    otherwise: "identity.json in the state directory",
    about: "where the device identity is kept"
  }),
  stateDirectory: setting(path("a directory only you may write"), {
    variable: "OPENCLAW_DEVICE_STATE_DIR",
    flag: "state-dir",
    otherwise: "the platform's place for state",
    about: "where identity, device tokens and open tasks are kept"
  }),
  noState: setting(oneOf("true", "false"), {
    variable: "OPENCLAW_DEVICE_NO_STATE",
    flag: "no-state",
    default: "false",
    about: "store nothing: device tokens and open tasks end with the process, and the key has to be configured"
  }),
  settings: setting(path("a file only you may read"), {
    variable: "OPENCLAW_DEVICE_SETTINGS",
    otherwise: "settings.json in the platform's place for settings",
    about: "the settings file, which `init` writes"
  }),
  gatewayPlace: setting(text(GatewayPlace.range, GatewayPlace.parse), {
    variable: "OPENCLAW_GATEWAY_PLACE",
    flag: "gateway-place",
    otherwise: "not known: the commands of every place are shown",
    about: "how you reach the gateway host, for the commands that approve this device; the flag is one of `init`"
  }),
  sessionKey: setting(anyText("a session key of the gateway"), {
    variable: "OPENCLAW_CHAT_SESSION_KEY",
    flag: "session",
    default: "agent:main:main",
    about: "the conversation that tasks go to"
  }),
  taskTimeout: setting(time("1 second", "24 hours"), {
    variable: "OPENCLAW_TASK_TIMEOUT",
    flag: "timeout",
    default: "180 seconds",
    about: "how long one task may take, once it can be sent"
  }),
  reminderInterval: setting(time("1 second", "1 hour"), {
    variable: "OPENCLAW_PAIRING_REMINDER_INTERVAL",
    default: "30 seconds",
    about: "between reminders of a pending approval"
  }),
  reminders: setting(count(0, 10), {
    variable: "OPENCLAW_PAIRING_REMINDERS",
    default: 2,
    about: "how often to remind of one approval"
  }),
  pagePort: setting(count(0, 65_535), {
    variable: "OPENCLAW_DEVICE_PAGE_PORT",
    flag: "page-port",
    default: 0,
    about: "the port of the page on 127.0.0.1; 0 takes any that is free"
  })
}
