import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { describeWarning } from "../../src/identity/DeviceIdentity.ts"
import { judge, parseMountInfo } from "../../src/storage/EphemeralPlace.ts"
import { load, path } from "../identity/Fixture.ts"
import { makeDisk, place } from "./MemoryFiles.ts"

/** Lines as the kernel writes them: optional fields may be absent or several, and blanks stand in octal. */
const container = `
2067 1853 0:352 / / rw,relatime master:612 - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
2068 2067 0:355 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
2069 2067 0:356 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
2073 2067 259:1 /var/lib/docker/volumes/state/_data /data rw,relatime shared:1 master:2 - ext4 /dev/nvme0n1p1 rw
2074 2073 0:360 / /data/cache rw - tmpfs tmpfs rw
2075 2067 259:1 /x /my\\040volume rw - xfs /dev/sdb rw
not a mount line
`.trim()
const laptop = `
22 1 259:2 / / rw,relatime shared:1 - btrfs /dev/nvme0n1p2 rw
40 22 0:35 / /run/user/1000 rw - tmpfs tmpfs rw
41 22 0:36 / /home rw - ext4 /dev/a rw
42 41 0:37 / /home rw - tmpfs none rw
`.trim()

describe("EphemeralPlace", () => {
  it("F31, G01: recognises memory, containers and temporary places", () => {
    const inContainer = (at: string) =>
      Option.getOrUndefined(
        Option.map(judge(parseMountInfo(container), at), ({ mount, place }) => [place, mount?.point])
      )
    assert.deepStrictEqual(inContainer("/root/.local/state/effect-openclaw/identity.json"), ["Container", "/"])
    assert.strictEqual(inContainer("/data/identity.json"), undefined)
    assert.deepStrictEqual(inContainer("/data/cache/identity.json"), ["Memory", "/data/cache"])
    assert.deepStrictEqual(inContainer("/database/identity.json"), ["Container", "/"])
    assert.deepStrictEqual(inContainer("/dev/shm/identity.json"), ["Memory", "/dev"])
    assert.strictEqual(inContainer("/my volume/identity.json"), undefined)
    assert.deepStrictEqual(inContainer("/tmp/identity.json"), ["Temporary", "/"])

    const onLaptop = (at: string) =>
      Option.getOrUndefined(Option.map(judge(parseMountInfo(laptop), at), ({ place }) => place))
    assert.strictEqual(onLaptop("/var/lib/agent/identity.json"), undefined)
    assert.strictEqual(onLaptop("/run/user/1000/identity.json"), "Memory")
    assert.strictEqual(onLaptop("/home/me/identity.json"), "Memory", "the later mount covers the earlier one")
    assert.strictEqual(onLaptop("/var/tmp/agent/identity.json"), "Temporary")
    assert.strictEqual(onLaptop("/tmpfoo/identity.json"), undefined)

    assert.isTrue(Option.isNone(judge(parseMountInfo(""), "/Users/me/Library/identity.json")))
    assert.isTrue(Option.isSome(judge(parseMountInfo(""), "/private/tmp/identity.json")))
  })

  it.effect("G01: an identity in a container's own layer comes with a warning that names the consequence", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      place(disk, "/proc/self/mountinfo", container)
      const { warnings } = yield* load(disk)
      assert.deepStrictEqual(warnings, [
        { _tag: "EphemeralPlace", path, place: "Container", mount: { point: "/", type: "overlay" } }
      ])
      const [warning] = warnings
      if (warning === undefined) return
      assert.include(describeWarning(warning), "volume")
      assert.include(describeWarning(warning), "new approval")
    }))

  it.effect("there is no warning without a mount table", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* load(makeDisk())).warnings, [])
    }))
})
