/**
 * What `settings` shows: each setting's value and where it comes from. Secrets are named, never shown.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { field, line } from "../protocol/OutsideText.ts"
import { type Setting, suffixes } from "../settings/Setting.ts"
import * as SettingSource from "../settings/SettingSource.ts"
import { Output } from "./Output.ts"
import type { Flags } from "./Settings.ts"
import { table } from "./Settings.ts"
import { SettingsFile } from "./SettingsFile.ts"

export type Origin = "default" | "file" | "flag" | "variable"

/** One setting as it holds. */
export interface Shown {
  /** The variable. */
  readonly setting: string
  /** Absent where it is not set and has no default, and for a secret. */
  readonly value?: string
  readonly secret?: true
  readonly origin: Origin
  /** The flag or variable that it was set by. */
  readonly by?: string
  /** What holds without a value, in words. */
  readonly otherwise?: string
}

const shown = Effect.fnUntraced(function*(
  row: Setting<unknown> & { readonly variable: string },
  flag: string | undefined,
  fromFile: ReadonlySet<string>
): Effect.fn.Return<Shown, unknown> {
  const setting = row.variable
  const secret = row.source === "secret"
  if (flag !== undefined) return { setting, value: flag, origin: "flag", by: `--${row.flag}` }
  for (const name of [setting, ...(secret ? suffixes.map((end) => `${setting}${end}`) : [])]) {
    const found = yield* SettingSource.variable(name)
    if (found === undefined) continue
    const origin = fromFile.has(name) ? "file" : "variable"
    // The name of a secret's file is no secret.
    const hidden = secret && name === setting
    return {
      setting,
      ...(hidden ? { secret: true } : { value: Redacted.value(found.text).trim() }),
      origin,
      by: name
    }
  }
  return {
    setting,
    ...(secret ? { secret: true } : {}),
    origin: "default",
    ...(row.default === undefined ? { otherwise: row.otherwise ?? "not set" } : { value: String(row.default) })
  }
})

const valueText = ({ origin, otherwise, secret, value }: Shown): string =>
  value !== undefined ? line(value) : secret === true && origin !== "default" ? "set, and not shown" : `(${otherwise})`

export const show = Effect.fnUntraced(function*(flags: Flags) {
  const output = yield* Output
  const { counts, path } = yield* SettingsFile
  const given: Readonly<Record<string, string | undefined>> = {
    "gateway-url": Option.getOrUndefined(flags.gatewayUrl),
    "state-dir": Option.getOrUndefined(flags.stateDir),
    "no-state": Option.getOrUndefined(Option.map(flags.noState ?? Option.none(), String))
  }
  const rows: Array<Shown> = []
  for (const row of table) {
    const { flag, variable } = row
    if (variable === undefined) continue
    rows.push(yield* Effect.orDie(shown({ ...row, variable }, flag === undefined ? undefined : given[flag], counts)))
  }
  if (output.json) {
    for (const row of rows) yield* output.line(JSON.stringify(row))
    return
  }
  yield* output.line(`settings file: ${path === undefined ? "none" : field(path, { maxLength: 1000 })}`)
  const width = Math.max(...rows.map(({ setting }) => setting.length))
  for (const row of rows) {
    const by = row.by === undefined || row.by === row.setting ? "" : ` ${row.by}`
    yield* output.line(
      `${row.setting.padEnd(width)}  ${row.origin.padEnd(8)}  ${valueText(row)}${by === "" ? "" : ` (${by.trim()})`}`
    )
  }
})
