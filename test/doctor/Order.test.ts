import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Schema from "effect/Schema"
import { doctorAdvice } from "../../src/advice/DoctorAdvice.ts"
import * as ErrorCatalogue from "../../src/advice/ErrorCatalogue.ts"
import { linkAdvice } from "../../src/advice/LinkAdvice.ts"
import type { Check, CheckId, CheckStatus, Result } from "../../src/doctor/Check.ts"
import { checkIds } from "../../src/doctor/Check.ts"
import { examine } from "../../src/doctor/Examine.ts"
import { diagnose, reach } from "../../src/doctor/Order.ts"
import { checkOf } from "../../src/doctor/Outcome.ts"
import { standingOf, testedReleases } from "../../src/doctor/TestedReleases.ts"
import { LinkReason, Phase } from "../../src/link/LinkError.ts"

const statuses = ["ok", "warn", "fail", "skipped", "unknown"] as const

/** Any results: each check may need earlier ones, as the numbers say. */
const Drawn = Schema.Array(
  Schema.Struct({
    status: Schema.Literals(statuses),
    needs: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: checkIds.length - 1 }))).check(
      Schema.isMaxLength(3)
    )
  })
).check(Schema.isMaxLength(checkIds.length))

const idAt = (index: number): CheckId => checkIds[index] ?? "settings"

const resultsOf = (drawn: typeof Drawn.Type): ReadonlyArray<Result> =>
  drawn.map(({ needs, status }, index) => ({
    id: idAt(index),
    needs: index === 0 ? [] : [...new Set(needs.map((need) => idAt(need % index)))],
    finding: { status, what: "" }
  }))

/** Whether one check stands behind another, however far. */
const standsBehind = (id: CheckId, cause: CheckId, results: ReadonlyArray<Result>): boolean =>
  (results.find((result) => result.id === id)?.needs ?? [])
    .some((need) => need === cause || standsBehind(need, cause, results))

const failures = (results: ReadonlyArray<Result>) => results.filter(({ finding }) => finding.status === "fail")

describe("the order of results", () => {
  it.prop("the root comes first, and no other failure explains it", [Drawn], ([drawn]) => {
    const results = resultsOf(drawn)
    const { root, told } = diagnose(results)
    assert.strictEqual(told[0], root)
    const places = told.map(({ finding: { status }, id }) =>
      checkIds.indexOf(id) + (status === "fail" ? 0 : checkIds.length)
    )
    assert.deepStrictEqual(places, places.toSorted((one, other) => one - other))
    if (root === undefined) return
    assert.strictEqual(root.finding.status === "fail", failures(results).length > 0)
    for (const { id } of failures(results)) assert.isFalse(id !== root.id && standsBehind(root.id, id, results))
  }, { arbitrary: { seed: 1, runs: 500 } })

  it.prop("nothing false beside it: what a failure explains is hidden, and everything else that is bad is told", [
    Drawn
  ], ([drawn]) => {
    const results = resultsOf(drawn)
    const { hidden, told } = diagnose(results)
    for (const { id } of told) {
      assert.isFalse(failures(results).some((cause) => cause.id !== id && standsBehind(id, cause.id, results)))
    }
    for (const { id } of hidden) {
      assert.isTrue(failures(results).some((cause) => cause.id !== id && standsBehind(id, cause.id, results)))
    }
    const bad = results.filter(({ finding }) => finding.status === "fail" || finding.status === "warn")
    assert.sameMembers([...told, ...hidden].map(({ id }) => id), bad.map(({ id }) => id))
  }, { arbitrary: { seed: 2, runs: 500 } })

  it.prop("the verdict is the worst result, and neither skipped nor unknown ones are bad", [Drawn], ([drawn]) => {
    const results = resultsOf(drawn)
    const found = new Set<CheckStatus>(results.map(({ finding }) => finding.status))
    const { told, worst } = diagnose(results)
    assert.strictEqual(worst, found.has("fail") ? "fail" : found.has("warn") ? "warn" : "ok")
    assert.strictEqual(told.length === 0, worst === "ok")
    assert.isTrue(told.every(({ finding: { status } }) => status === "fail" || status === "warn"))
  }, { arbitrary: { seed: 3, runs: 300 } })

  it.effect.prop(
    "what stands behind a failure is not made, and says behind which",
    [Drawn],
    ([drawn]) =>
      Effect.gen(function*() {
        const made: Array<CheckId> = []
        const checks = resultsOf(drawn).map(({ finding, id, needs }): Check => ({
          id,
          needs,
          make: Effect.sync(() => {
            made.push(id)
            return finding
          })
        }))
        const results = yield* examine(checks)
        for (const { because, finding, id } of results) {
          if (because === undefined) {
            assert.include(made, id)
            continue
          }
          assert.notInclude(made, id)
          assert.strictEqual(finding.status, "skipped")
          assert.strictEqual(results.find((result) => result.id === because)?.finding.status, "fail")
          assert.isTrue(standsBehind(id, because, results))
        }
        assert.deepStrictEqual(diagnose(results).hidden, [])
      }),
    { arbitrary: { seed: 4, runs: 300 } }
  )

  it("reachable is another thing than allowed", () => {
    const found = (id: CheckId, status: CheckStatus): Result => ({ id, needs: [], finding: { status, what: "" } })
    assert.deepStrictEqual(reach([found("dial", "ok"), found("challenge", "ok"), found("pairing", "fail")]), {
      reachable: true,
      allowed: false
    })
    assert.deepStrictEqual(reach([found("dial", "fail"), found("pairing", "skipped")]), {
      reachable: false,
      allowed: undefined
    })
    assert.deepStrictEqual(reach([found("dial", "unknown")]), { reachable: undefined, allowed: undefined })
  })
})

describe("whose check a failure is", () => {
  it("every reason of a link that did not open belongs to a check before the challenge, or to the phase", () => {
    for (const reason of LinkReason.literals) {
      for (const phase of Phase.literals) assert.include(checkIds, checkOf("LinkError", reason, phase))
    }
    assert.strictEqual(checkOf("LinkError", "HungUp", "upgrade"), "front-door")
    assert.strictEqual(checkOf("LinkError", "Closed", "hello"), "session")
    assert.strictEqual(checkOf("ChallengeTimeout", undefined, "tls"), "tls")
  })
  it("an error of another release is one of the session", () => {
    assert.strictEqual(checkOf("SomethingNew", undefined, undefined), "session")
    assert.strictEqual(checkOf("constructor", undefined, undefined), "session")
  })
  it("what doctor alone finds has advice, as every error has", () => {
    for (const entry of Object.values(doctorAdvice)) {
      assert.match(entry.problem, /\.$/)
      assert.match(entry.action, /\.$/)
    }
    assert.strictEqual(ErrorCatalogue.lookup("LinkError", "Unreachable"), linkAdvice.LinkError.Unreachable)
  })
})

describe("releases", () => {
  it.effect("those that doctor calls tested are those of the compatibility table", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const table = yield* fs.readFileString(`${import.meta.dirname}/../interop/COMPATIBILITY.md`)
      const names = [...table.matchAll(/^\| (\d{4}\.\d+\.\d+) /gm)].map(([, name]) => name)
      assert.deepStrictEqual([...new Set(names)].toSorted(), [...testedReleases].toSorted())
    }).pipe(Effect.provide(NodeServices.layer)))
  it("stand before, among and after the tested ones", () => {
    const standings = ["2026.1.28", "2026.1.29", "2026.4.1", "2026.9.6-dev", "2026.10.1", "1.2.3", "x"].map(standingOf)
    assert.deepStrictEqual(standings, ["older", "tested", "between", "tested", "newer", "unknown", "unknown"])
  })
})
