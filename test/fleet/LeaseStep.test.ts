import { assert, describe, it } from "@effect/vitest"
import * as LeaseStep from "../../src/fleet/LeaseStep.ts"

/** Numbers from a seed (mulberry32). */
const numbers = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
}

const lifeMs = 10_000
const at = (ms: number): LeaseStep.Moment => ({ monotonicMs: ms, wallMs: ms })

/** A process with a clock of its own, which may run 5 % too slow or too fast and starts anywhere. */
interface Process {
  readonly id: string
  readonly rate: number
  readonly startMs: number
  lease: LeaseStep.Lease
  epoch: number | undefined
  /** The lease of that activation. */
  own: LeaseStep.Lease
  /** A takeover whose answer is on its way. */
  taking:
    | { readonly lease: LeaseStep.Lease; epoch?: number; waitsFor: ReadonlyArray<string>; freeAtMs?: number }
    | undefined
  /** When its activation may open a link, on the database's clock. */
  freeAtMs: number
  /** A renewal on its way: asked, then granted by the database, then answered. */
  renewal: {
    readonly askedAt: LeaseStep.Moment
    readonly asked: number | undefined
    held?: number | undefined
    granted: boolean
    read: boolean
  } | undefined
}

/**
 * Three processes and a database, in any order of events: renewals that take any time, takeovers, leaves, sends. Freezes are events
 * that do not come. Returns the epochs of what was sent, in order.
 */
const play = (
  seed: number,
  broken: {
    readonly noWait?: boolean
    readonly noLease?: boolean
    readonly oneLease?: boolean
    readonly readFirst?: boolean
  } = {}
) => {
  const next = numbers(seed)
  let nowMs = 0
  const device: { epoch: number; holder: string | undefined; waitsFor: ReadonlyArray<string> } = {
    epoch: 0,
    holder: undefined,
    waitsFor: []
  }
  const leases = new Map<string, number>()
  const processes: ReadonlyArray<Process> = ["a", "b", "c"].map((id) => ({
    id,
    rate: 0.95 + next() * 0.1,
    startMs: next() * 1e6,
    lease: LeaseStep.initial,
    epoch: undefined,
    own: LeaseStep.initial,
    taking: undefined,
    freeAtMs: 0,
    renewal: undefined
  }))
  const sent: Array<number> = []
  for (let event = 0; event < 900; event++) {
    nowMs += next() < 0.97 ? next() * 120 : next() * 15_000
    const process = processes[Math.floor(next() * 3)]
    if (process === undefined) continue
    const clock = at(process.startMs + nowMs * process.rate)
    const { renewal } = process
    const kind = next()
    if (kind < 0.35) {
      if (renewal === undefined) {
        process.renewal = { askedAt: clock, asked: process.epoch, granted: false, read: false }
        if (broken.readFirst === true) process.renewal.held = device.holder === process.id ? device.epoch : undefined
      } else if (!renewal.granted) {
        renewal.granted = true
        leases.set(process.id, nowMs + lifeMs + LeaseStep.marginMs(lifeMs))
      } else if (!renewal.read) {
        renewal.read = true
        if (broken.readFirst !== true) renewal.held = device.holder === process.id ? device.epoch : undefined
      } else {
        const asked = new Map(renewal.asked === undefined ? [] : [["lamp", renewal.asked]])
        const held = new Map(renewal.held === undefined ? [] : [["lamp", renewal.held]])
        if (LeaseStep.lost(asked, held).length > 0 && process.epoch === renewal.asked) process.epoch = undefined
        if (process.epoch === renewal.asked) process.own = LeaseStep.renewed(process.own, renewal.askedAt)
        process.lease = LeaseStep.renewed(process.lease, renewal.askedAt)
        process.renewal = undefined
      }
    } else if (kind < 0.5) {
      const { taking } = process
      if (taking === undefined) {
        process.taking = { lease: process.lease, waitsFor: [] }
      } else if (taking.epoch === undefined) {
        device.waitsFor = LeaseStep.waitsFor(device.waitsFor, device.holder, process.id)
        device.holder = process.id
        taking.epoch = ++device.epoch
        taking.waitsFor = device.waitsFor
      } else if (taking.freeAtMs === undefined) {
        taking.freeAtMs = LeaseStep.freeAtMs(taking.waitsFor, leases, process.id)
      } else {
        process.epoch = taking.epoch
        process.own = taking.lease
        process.freeAtMs = taking.freeAtMs
        process.taking = undefined
      }
    } else if (kind < 0.53) {
      if (device.holder === process.id && device.epoch === process.epoch) device.holder = undefined
      process.epoch = undefined
    } else if (process.epoch !== undefined) {
      const isFree = broken.noWait === true || nowMs >= process.freeAtMs
      // Who has waited tells the others.
      if (isFree && process.epoch === device.epoch) device.waitsFor = []
      const holds = broken.noLease === true
        || LeaseStep.holds(broken.oneLease === true ? process.lease : process.own, clock, lifeMs)
      if (isFree && holds) sent.push(process.epoch)
    }
  }
  return sent
}

const isInOrder = (epochs: ReadonlyArray<number>) =>
  epochs.every((epoch, index) => index === 0 || epoch >= (epochs[index - 1] ?? 0))

describe("LeaseStep", () => {
  it("never lets an earlier activation send after a later one has, whatever is late and whichever clock is wrong", () => {
    let sends = 0
    for (let seed = 1; seed <= 2000; seed++) {
      const sent = play(seed)
      sends += sent.length
      assert.isTrue(isInOrder(sent), `seed ${seed}: ${sent.join(" ")}`)
    }
    assert.isAbove(sends, 4000)
  })

  it("that law finds a takeover that does not wait, activations without a lease or with one in common, and a renewal that reads before it is granted", () => {
    const seeds = Array.from({ length: 2000 }, (_, seed) => seed)
    assert.isTrue(seeds.some((seed) => !isInOrder(play(seed, { oneLease: true }))))
    assert.isTrue(seeds.some((seed) => !isInOrder(play(seed, { readFirst: true }))))
    assert.isTrue(seeds.some((seed) => !isInOrder(play(seed, { noWait: true }))))
    assert.isTrue(seeds.some((seed) => !isInOrder(play(seed, { noLease: true }))))
  })

  it("a lease is over after its life by either clock", () => {
    const lease = LeaseStep.renewed(LeaseStep.initial, at(5000))
    assert.isFalse(LeaseStep.holds(LeaseStep.initial, at(0), lifeMs))
    assert.isTrue(LeaseStep.holds(lease, at(14_999), lifeMs))
    assert.isFalse(LeaseStep.holds(lease, at(15_000), lifeMs))
    assert.isFalse(LeaseStep.holds(lease, { monotonicMs: 6000, wallMs: 60_000 }, lifeMs))
    assert.isFalse(LeaseStep.holds(lease, { monotonicMs: 60_000, wallMs: 6000 }, lifeMs))
  })

  it("an answer that comes late takes nothing back", () => {
    const newer = LeaseStep.renewed(LeaseStep.initial, at(5000))
    assert.deepStrictEqual(LeaseStep.renewed(newer, at(3000)), newer)
    assert.deepStrictEqual(LeaseStep.renewed(newer, at(7000)), { askedAt: at(7000) })
  })

  it("waits for every process that had the device, not only for the last, and not for itself", () => {
    const leases = new Map([["a", 900], ["b", 400]])
    const first = LeaseStep.waitsFor([], "a", "b")
    assert.deepStrictEqual(first, ["a"])
    assert.deepStrictEqual(LeaseStep.waitsFor(first, undefined, "c"), ["a"])
    const second = LeaseStep.waitsFor(first, "b", "c")
    assert.deepStrictEqual(second, ["a", "b"])
    assert.deepStrictEqual(LeaseStep.waitsFor(second, "b", "c"), ["a", "b"])
    assert.strictEqual(LeaseStep.freeAtMs(second, leases, "c"), 900)
    assert.strictEqual(LeaseStep.freeAtMs(second, leases, "a"), 400)
    assert.strictEqual(LeaseStep.freeAtMs(["gone"], leases, "a"), 0)
  })
})
