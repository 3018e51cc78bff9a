/**
 * Requests and devices as a person reads them. Pure.
 */
import * as Schema from "effect/Schema"
import { compareCode } from "../identity/CompareCode.ts"
import { isoTime } from "../protocol/AgentEvent.ts"
import { DeviceId } from "../protocol/Connect.ts"
import { field, lengths, names } from "../protocol/OutsideText.ts"
import type { About, Approved, Listing, Request } from "./DeviceRequest.ts"
import { approvedOf, difference } from "./DeviceRequest.ts"
import type { Style } from "./EventText.ts"

const isDeviceId = Schema.is(DeviceId)

/** The code that the person at the device can compare; undefined for an invalid id. */
export const codeOf = (deviceId: string): string | undefined =>
  isDeviceId(deviceId) ? compareCode(deviceId).words : undefined

/** A name that another device gave itself. */
export const name = (text: string): string => field(text, { maxLength: lengths.name })

/** A device id within a sentence. */
export const shortId = (deviceId: string): string => `${name(deviceId.slice(0, 16))}…`

const row = (label: string, text: string): string => `${label.padEnd(10)}${text}`

const rows = (label: string, texts: ReadonlyArray<string>): ReadonlyArray<string> =>
  texts.map((text, index) => row(index === 0 ? label : "", text))

const nouns: Readonly<Record<About, string>> = { pairing: "scopes", tools: "commands" }

/** What a request asks, each line with `+` for what is not approved yet. */
export const requestLines = (request: Request, listing: Listing, style: Style): ReadonlyArray<string> => {
  const before = approvedOf(listing, request.deviceId, request.about)
  const { kept, more, newRoles } = difference(request, before)
  const added = (text: string) => style.attention(`+ ${name(text)}`)
  const what = request.about === "tools"
    ? "the gateway's agent may use its tools"
    : before === undefined
    ? "to be paired"
    : "for more than it has"
  return [
    row("request", `${name(request.requestId)}  asks ${request.about === "tools" ? "that " : ""}${what}`),
    ...(request.remoteIp === "" ? [] : [row("from", name(request.remoteIp))]),
    ...(request.askedAtMs === undefined
      ? []
      : [row("asked at", `${isoTime(request.askedAtMs)} by the gateway's clock`)]),
    ...rows("roles", [
      ...newRoles.map(added),
      ...request.roles.filter((role) => !newRoles.includes(role)).map((role) => `  ${name(role)}`)
    ]),
    ...rows(nouns[request.about], [...more.map(added), ...kept.map((each) => `  ${name(each)}`)])
  ]
}

const approvedLines = (approved: Approved, style: Style): ReadonlyArray<string> => {
  const { about, connected, names: rights, roles, tokens } = approved
  if (about === "tools") return [row("tools", `approved: ${names(rights) || "no commands"}`)]
  return [
    row("paired", connected ? style.good("and connected") : "not connected"),
    ...(roles.length === 0 ? [] : [row("has roles", names(roles))]),
    row("has", names(rights) || "no scopes"),
    ...rows(
      "tokens",
      tokens.map(({ revoked, role, scopes }) =>
        `${name(role)}: ${revoked ? style.bad("revoked") : names(scopes) || "no scopes"}`
      )
    )
  ]
}

/** Who a device is. */
export const deviceLines = (
  { deviceId, name: called, platform }: Pick<Request, "deviceId" | "name" | "platform">
): ReadonlyArray<string> => {
  const code = codeOf(deviceId)
  return [
    row("device", name(deviceId)),
    ...(code === undefined ? [] : [row("code", code)]),
    ...(called === "" ? [] : [row("name", name(called))]),
    ...(platform === "" ? [] : [row("platform", name(platform))])
  ]
}

/** Everything about one device. */
export const allLines = (deviceId: string, listing: Listing, style: Style): ReadonlyArray<string> => {
  const requests = listing.requests.filter((each) => each.deviceId === deviceId)
  const approved = listing.approved.filter((each) => each.deviceId === deviceId)
  const first = [...approved, ...requests][0]
  return [
    ...(first === undefined ? [] : deviceLines(first)),
    ...approved.flatMap((each) => approvedLines(each, style)),
    ...requests.flatMap((each) => requestLines(each, listing, style))
  ]
}
