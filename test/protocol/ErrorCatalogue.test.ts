import { assert, describe, it } from "@effect/vitest"
import { rules } from "../../src/connection/RetryPolicy.ts"
import { UpgradeReason } from "../../src/link/FrontDoor.ts"
import { UntrustedReason } from "../../src/link/TlsError.ts"
import type { Entry } from "../../src/protocol/ErrorCatalogue.ts"
import { advice, catalogue, lookup } from "../../src/protocol/ErrorCatalogue.ts"
import { AuthReason, DeviceProofReason, MismatchReason, PairingReason } from "../../src/protocol/Refusal.ts"
import { TaskRefused } from "../../src/tasks/TaskError.ts"

const reasons: Readonly<Record<string, ReadonlyArray<string>>> = {
  PairingRequired: PairingReason.literals,
  AuthRejected: AuthReason.literals,
  DeviceProofRejected: DeviceProofReason.literals,
  ProtocolMismatch: MismatchReason.literals,
  LinkError: ["Unreachable", "Closed", "Silent", "Ended"],
  UpgradeRejected: UpgradeReason.literals,
  ProxyRejected: ["Credentials", "Refused", "Unreachable", "Unusable"],
  TlsPinMismatch: ["Rotated", "Unknown"],
  TlsUntrusted: UntrustedReason.literals,
  ScopeUpgradeRefused: ["NotConnected", "UnderWay", "NeedsSharedCredential"],
  GatewayRejected: ["Refused", "HelloUnreadable"],
  DialogUnavailable: ["SiteMissing", "NoPort"],
  EndpointInvalid: ["Malformed", "Scheme", "Credentials", "Query"],
  TaskRefused: TaskRefused.fields.reason.literals,
  Expired: ["sent", "kept"],
  Unknown: ["NoReply", "Absent", "Unavailable"]
}
/** What a task can end with, beside its reply, and why one is not taken. */
const ofTasks = [
  "TaskRefused",
  "TaskNotFound",
  "RunFailed",
  "TakenAsCommand",
  "SessionConflicted",
  "RequestRejected",
  "MissingScope",
  "Aborted",
  "Expired",
  "Unknown"
]
/** Every class that can end up before a person, beside those that the retry policy knows. */
const classes = [
  ...Object.keys(rules),
  "ApprovalTimedOut",
  "InternalError",
  "EndpointInvalid",
  "InsecureUrl",
  "ScopeUpgradeRefused",
  "DialogUnavailable",
  ...ofTasks
]

const isEntry = (found: Entry | Readonly<Record<string, Entry>>): found is Entry => typeof found["problem"] === "string"
const entries = Object.entries(catalogue).flatMap(([error, found]) =>
  isEntry(found)
    ? [{ where: error, entry: found }]
    : Object.entries(found).map(([reason, entry]) => ({ where: `${error}/${reason}`, entry }))
)

describe("ErrorCatalogue", () => {
  it("G16: every class and every reason has an entry that says what, whose, what to do and what next", () => {
    for (const error of classes) {
      for (const reason of reasons[error] ?? [undefined]) {
        const entry = lookup(error, reason)
        assert.isDefined(entry, `${error}/${reason}`)
        if (entry === undefined) continue
        for (const sentence of [entry.problem, entry.action, entry.next]) assert.match(sentence, /^[A-Z].*\.$/, error)
        assert.include(["you", "gateway host", "network", "this program"], entry.owner)
      }
    }
    assert.deepStrictEqual(Object.keys(catalogue).toSorted(), classes.toSorted())
  })

  it("names no reason that does not exist", () => {
    for (const [error, found] of Object.entries(catalogue)) {
      if (isEntry(found)) continue
      for (const reason of Object.keys(found)) assert.include([...(reasons[error] ?? []), "other"], reason, error)
    }
  })

  it("F27: one answer for each case, and none of them asks anybody to restart this program", () => {
    const told = entries.map(({ entry }) => `${entry.problem} ${entry.action}`)
    assert.strictEqual(new Set(told).size, told.length)
    for (const { entry, where } of entries) {
      assert.notMatch(`${entry.action} ${entry.next}`, /restart (this|the) (program|agent)|run .* again/i, where)
    }
  })

  it("F38: no command approves whatever came last", () => {
    for (const { entry, where } of entries) assert.notInclude(advice(entry), "--latest", where)
  })
})
