import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { fileURLToPath } from "node:url"
import type { Entries, Entry, Table } from "../../src/advice/Entry.ts"
import { find } from "../../src/advice/Entry.ts"
import type { AdvisedError } from "../../src/advice/ErrorCatalogue.ts"
import { advice, catalogue, lookup } from "../../src/advice/ErrorCatalogue.ts"
import { handshakeAdvice } from "../../src/advice/HandshakeAdvice.ts"
import { taskAdvice } from "../../src/advice/TaskAdvice.ts"
import { commandAdvice } from "../../src/cli/CommandAdvice.ts"
import { GatewayRejected } from "../../src/handshake/HandshakeError.ts"
import { EndpointInvalid } from "../../src/link/Endpoint.ts"
import { UpgradeReason } from "../../src/link/FrontDoor.ts"
import { LinkReason } from "../../src/link/LinkError.ts"
import { UntrustedReason } from "../../src/link/TlsError.ts"
import { JoinUrlRefused } from "../../src/pairing/JoinUrl.ts"
import { SetupCodeInvalid } from "../../src/pairing/SetupCode.ts"
import { AuthReason, DeviceProofReason, MismatchReason, PairingReason } from "../../src/protocol/Refusal.ts"
import { AttachmentUnreadable } from "../../src/tasks/AttachmentFile.ts"
import { ArtifactError } from "../../src/tasks/RunArtifacts.ts"
import { AttachmentRefused, TaskRefused } from "../../src/tasks/TaskError.ts"

const reasons: Readonly<Record<string, ReadonlyArray<string>>> = {
  PairingRequired: PairingReason.literals,
  AuthRejected: AuthReason.literals,
  DeviceProofRejected: DeviceProofReason.literals,
  ProtocolMismatch: MismatchReason.literals,
  LinkError: LinkReason.literals,
  UpgradeRejected: UpgradeReason.literals,
  ProxyRejected: ["Credentials", "Refused", "Unreachable", "Unusable"],
  TlsPinMismatch: ["Rotated", "Unknown"],
  TlsUntrusted: UntrustedReason.literals,
  ScopeUpgradeRefused: ["NotConnected", "UnderWay", "NeedsSharedCredential"],
  GatewayRejected: GatewayRejected.fields.reason.literals,
  DialogUnavailable: ["SiteMissing", "NoPort", "PortTaken", "PortForbidden"],
  EndpointInvalid: EndpointInvalid.fields.reason.literals,
  TaskRefused: TaskRefused.fields.reason.literals,
  AttachmentRefused: AttachmentRefused.fields.reason.literals,
  AttachmentUnreadable: AttachmentUnreadable.fields.reason.literals,
  ArtifactError: ArtifactError.fields.reason.literals,
  SetupCodeInvalid: SetupCodeInvalid.fields.reason.literals,
  JoinUrlRefused: JoinUrlRefused.fields.reason.literals,
  Expired: ["sent", "kept"],
  Unknown: ["NoReply", "Absent", "Unavailable"]
}

/** Errors that have no entry, each with the reason for it. */
const unadvised: Readonly<Record<string, string>> = {
  FileNotGiven: "is told as ArtifactError",
  CommandFailed: "holds what is told already",
  Outcome: "is the exit status of an answer that was told",
  NotAnswered: "is told as a finding of status and doctor",
  StatusNotServed: "is a warning of a program that goes on, and says itself what to do",
  SourceFailed: "goes to the model, as the result of its call",
  SignatureSelfCheckFailed: "is told as DeviceProofRejected, SelfCheckFailed",
  AgentFailed: "belongs to who scripts the test gateway",
  SetupCodeRefused: "belongs to who scripts the test gateway",
  ToolCallFailed: "belongs to who scripts the test gateway",
  UnknownDevice: "belongs to who scripts the test gateway",
  UnknownRequest: "belongs to who scripts the test gateway"
}

/** The room `fleet` is above the catalogue, for its own hosts: its messages say what to do. */
const ofFleet = [
  "DelegateRefused",
  "DeviceNameInvalid",
  "DeviceUnknown",
  "FleetKeyInvalid",
  "FleetUnavailable",
  "RunnerPortUnavailable",
  "RunnerTaken",
  "SealBroken",
  "Superseded",
  "TimingInvalid"
]
const isAdvised = (tag: string) => unadvised[tag] === undefined && !ofFleet.includes(tag)

const told: Entries = commandAdvice
const isEntry = (found: Entry | Readonly<Record<string, Entry>>): found is Entry => typeof found["problem"] === "string"
const entries = Object.entries(told).flatMap(([error, found]) =>
  isEntry(found)
    ? [{ where: error, entry: found }]
    : Object.entries(found).map(([reason, entry]) => ({ where: `${error}/${reason}`, entry }))
)

/** The names of all error classes in the sources. */
const sources = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const root = fileURLToPath(new URL("../../src", import.meta.url))
  const files = (yield* fs.readDirectory(root, { recursive: true })).filter((name) => name.endsWith(".ts"))
  const texts = yield* Effect.forEach(files, (name) => fs.readFileString(`${root}/${name}`))
  return texts.flatMap((text) => [...text.matchAll(/\bTaggedError<\w+>\(\)\(\s*"(\w+)"/g)].map(([, tag = ""]) => tag))
}).pipe(Effect.provide(NodeServices.layer))

describe("ErrorCatalogue", () => {
  it("G16: every class and every reason has an entry that says what, whose, what to do and what next", () => {
    for (const [error, all] of Object.entries(reasons)) {
      for (const reason of all) assert.isDefined(find(told, error, reason), `${error}/${reason}`)
    }
    for (const { entry, where } of entries) {
      for (const sentence of [entry.problem, entry.action, entry.next]) assert.match(sentence, /^[A-Z].*\.$/, where)
      assert.include(["you", "gateway host", "network", "this program"], entry.owner)
    }
  })

  it.effect("every error class of the sources has an entry, and every entry is for a class or a named end", () =>
    Effect.gen(function*() {
      const tags = yield* sources
      assert.isAbove(tags.length, 40)
      const ends = ["ApprovalTimedOut", "InternalError", "SurfaceRequired", "Aborted", "Expired", "Unknown"]
      assert.deepStrictEqual(
        [...tags.filter(isAdvised), ...ends].toSorted(),
        Object.keys(told).toSorted()
      )
      assert.deepStrictEqual([...Object.keys(unadvised), ...ofFleet].filter((tag) => !tags.includes(tag)), [])
    }))

  it("names no reason that does not exist", () => {
    for (const [error, all] of Object.entries(reasons)) {
      const found = told[error]
      if (found !== undefined && !isEntry(found)) assert.deepStrictEqual(Object.keys(found).toSorted(), all.toSorted())
    }
  })

  it("a missing entry does not compile, and neither does one for a tag or a reason that no error has", () => {
    const entry: Entry = { problem: "", owner: "you", action: "", next: "" }
    type Failing = { readonly _tag: "One" } | { readonly _tag: "Two"; readonly reason: "a" | "b" }
    const whole: ReadonlyArray<Table<Failing>> = [{ One: entry, Two: { a: entry, b: entry } }, {
      One: entry,
      Two: entry
    }]
    const { AuthRejected: _class, ...withoutClass } = catalogue
    const { NotKept: _reason, ...withoutReason } = "NotKept" in taskAdvice.TaskRefused ? taskAdvice.TaskRefused : {}
    const broken: ReadonlyArray<object> = [
      // @ts-expect-error a tag is missing
      { One: entry } satisfies Table<Failing>,
      // @ts-expect-error a reason is missing
      { One: entry, Two: { a: entry } } satisfies Table<Failing>,
      // @ts-expect-error there is no such tag
      { One: entry, Two: entry, Three: entry } satisfies Table<Failing>,
      // @ts-expect-error there is no such reason
      { One: entry, Two: { a: entry, b: entry, c: entry } } satisfies Table<Failing>,
      // @ts-expect-error a tag without reasons has one entry
      { One: { a: entry }, Two: entry } satisfies Table<Failing>,
      // @ts-expect-error a class of ours is missing
      withoutClass satisfies Table<AdvisedError>,
      // @ts-expect-error a reason of ours is missing
      { ...catalogue, TaskRefused: withoutReason } satisfies Table<AdvisedError>,
      // @ts-expect-error no class of ours has this name
      { ...handshakeAdvice, ...catalogue, Mistyped: entry } satisfies Table<AdvisedError>
    ]
    assert.lengthOf([...whole, ...broken], 10)
  })

  it("names from outside find nothing that is no entry", () => {
    for (const name of ["constructor", "__proto__", "toString", "hasOwnProperty", "problem", ""]) {
      for (const error of [name, "AuthRejected", "InternalError"]) {
        const found = lookup(error, name)
        assert.strictEqual(found, error === "InternalError" ? catalogue.InternalError : undefined, `${error}/${name}`)
      }
    }
  })

  it("F27: one answer for each case, and none of them asks anybody to restart this program", () => {
    const different = [...new Set(entries.map(({ entry }) => entry))]
    assert.isAbove(different.length, 80)
    assert.strictEqual(
      new Set(different.map(({ action, problem }) => `${problem} ${action}`)).size,
      different.length
    )
    for (const { entry, where } of entries) {
      assert.notMatch(`${entry.action} ${entry.next}`, /restart (this|the) (program|agent)|run .* again/i, where)
    }
  })

  it("F38: no command approves whatever came last", () => {
    for (const { entry, where } of entries) assert.notInclude(advice(entry), "--latest", where)
  })
})
