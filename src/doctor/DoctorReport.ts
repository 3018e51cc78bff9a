/**
 * An examination as JSON and as text. Pure. A healthy one is one line; otherwise the root cause comes first.
 */
import { field, line } from "../protocol/OutsideText.ts"
import type { CheckStatus, Mend, Result } from "./Check.ts"
import type { Examination } from "./Doctor.ts"
import { phasesLine } from "./OnlineChecks.ts"
import { diagnose, reach } from "./Order.ts"

/** How each status is set off; on anything but a terminal, not at all. */
export type Paint = (status: CheckStatus | "dim", text: string) => string

/** What the report is made of besides the examination. */
export interface About {
  readonly program: string
  readonly nodejs: string
  /** ISO 8601, UTC. */
  readonly at: string
  /** What `--fix` has changed, as commands. */
  readonly mended: ReadonlyArray<string>
}

/** What a mend does, as the command that does the same. */
export const mendWords = (mend: Mend): string =>
  mend._tag === "Chmod" ? `chmod ${mend.mode.toString(8)} ${line(mend.path)}` : `rm ${line(mend.path)}`

/** The mends of all findings. */
export const mendsOf = (results: ReadonlyArray<Result>): ReadonlyArray<Mend> =>
  results.flatMap(({ finding }) => finding.mends ?? [])

/** One object. `allowed` and `reachable` are absent where they are not known, `root` where nothing is wrong. */
export const toJson = (examination: Examination, about: About) => {
  const { asked, deviceId, elapsedMs, gateway, online, results } = examination
  const { hidden, root, worst } = diagnose(results)
  const { allowed, reachable } = reach(results)
  return {
    version: 1,
    ...about,
    ...(gateway === undefined ? {} : { gateway }),
    ...(deviceId === undefined ? {} : { deviceId }),
    verdict: worst,
    ...(reachable === undefined ? {} : { reachable }),
    ...(allowed === undefined ? {} : { allowed }),
    ...(asked === undefined ? {} : { asked }),
    ...(root === undefined ? {} : { root: root.id }),
    hidden: hidden.map(({ id }) => id),
    elapsedMs,
    ...(online?.observed === undefined
      ? {}
      : { phases: online.observed.phases, handshakes: online.observed.handshakes }),
    checks: results.map(({ because, finding: { advice, error, status, what }, id }) => ({
      id,
      status,
      what,
      ...(because === undefined ? {} : { because }),
      ...(error === undefined ? {} : error),
      ...(advice === undefined ? {} : {
        owner: advice.owner,
        problem: advice.problem,
        advice: advice.action,
        ...(advice.command === undefined ? {} : { command: advice.command }),
        next: advice.next
      })
    }))
  }
}

/** The lines for a person. `verbose` has every check and the phases. */
export const toLines = (
  examination: Examination,
  about: About,
  { paint, verbose }: { readonly paint: Paint; readonly verbose: boolean }
): ReadonlyArray<string> => {
  const { results } = examination
  const diagnosis = diagnose(results)
  const mended = about.mended.map((command) => `${paint("ok", "mended")}  ${command}`)
  const shown = verbose ? results : diagnosis.told
  const width = Math.max(0, ...shown.map(({ id }) => id.length))
  const behind = diagnosis.root === undefined || verbose ? [] : [consequences(examination)]
  const phases = verbose && examination.online !== undefined ? phasesLine(examination.online) : undefined
  return [
    ...mended,
    ...(diagnosis.worst === "ok" ? [healthy(examination, paint)] : []),
    ...shown.flatMap((result) => linesOf(result, width, paint, verbose)),
    ...(diagnosis.worst === "ok" ? [] : behind),
    ...(phases === undefined ? [] : [paint("dim", `handshake  ${phases}`)])
  ]
}

const healthy = (
  { asked, deviceId = "", elapsedMs, gateway = "", online, results }: Examination,
  paint: Paint
): string => {
  const met = online?.outcome._tag === "Met" ? online.outcome.met : undefined
  const release = met === undefined
    ? ""
    : ` (OpenClaw ${field(met.release ?? "of unknown release", { maxLength: 64 })}, protocol ${met.protocol})`
  const { counts } = diagnose(results)
  const by = asked === "run" ? ", as the running program says" : ""
  const { allowed, reachable } = reach(results)
  const state = allowed === true
    ? `lets device ${deviceId.slice(0, 16)}… in`
    : reachable === true
    ? "is reachable"
    : "was not asked"
  return `${paint("ok", "ok")}  ${line(gateway)}${release} ${state}${by}; ${counts.ok} checks, ${elapsedMs} ms`
}

const marks: Readonly<Record<CheckStatus, string>> = {
  ok: "ok  ",
  warn: "warn",
  fail: "fail",
  skipped: "skip",
  unknown: "?   "
}

const linesOf = (
  { because, finding: { advice, status, what }, id }: Result,
  width: number,
  paint: Paint,
  verbose: boolean
): ReadonlyArray<string> => {
  const text = because === undefined ? what : `behind ${because}`
  const first = `${paint(status, marks[status])}  ${id.padEnd(width)}  ${text}`
  if (advice === undefined || status === "ok" || status === "skipped" || status === "unknown") return [first]
  const indent = "      "
  return [
    first,
    `${indent}${advice.problem}`,
    `${indent}Whose side: ${advice.owner}. ${advice.action}`,
    ...(advice.command === undefined ? [] : [`${indent}Command: ${advice.command}`]),
    ...(verbose ? [`${indent}${advice.next}`] : [])
  ]
}

/** What the checks that are not shown say. Reachable is another thing than allowed. */
const consequences = ({ results }: Examination): string => {
  const { counts, hidden } = diagnose(results)
  const { allowed, reachable } = reach(results)
  const gateway = reachable === undefined
    ? "Whether the gateway can be reached was not tried"
    : !reachable
    ? "The gateway is not reachable"
    : allowed === true
    ? "The gateway is reachable and lets this device in"
    : allowed === false
    ? "The gateway is reachable and does not let this device in"
    : "The gateway is reachable"
  const rest = [
    `${counts.ok} checks are ok`,
    ...(counts.skipped === 0 ? [] : [`${counts.skipped} stand behind what failed`]),
    ...(counts.unknown === 0 ? [] : [`${counts.unknown} could not be told`]),
    ...(hidden.length === 0 ? [] : [`${hidden.length} follow from it`])
  ]
  return `${gateway}; ${rest.join(", ")} (--verbose shows them).`
}
