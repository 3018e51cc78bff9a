import { assert, describe, it } from "@effect/vitest"
import * as AdmissionStep from "../../src/connection/AdmissionStep.ts"
import * as AdmissionShare from "../../src/fleet/AdmissionShare.ts"

const gateway = "wss://gateway.example/"

/** Numbers from a seed (mulberry32). */
const numbers = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
}

interface Process {
  readonly id: string
  gate: AdmissionStep.Gate
  view: AdmissionShare.View
  readAtMs: number
  /** When the handshakes under way began. */
  begunAtMs: Array<number>
  lives: boolean
}

/**
 * Up to eight processes at one address and a gateway, which accepts or refuses every credential. When it turns it is away for 10 s, and
 * the handshakes under way fail. Processes read about the others by chance.
 */
const play = (
  seed: number,
  { accepts = false, changes = false, turns = true }: {
    readonly accepts?: boolean
    readonly turns?: boolean
    /** Processes come and end, one in 10 s. They read every 2 s, and handshakes end within 8 s. */
    readonly changes?: boolean
  }
) => {
  const next = numbers(seed)
  const below = (limit: number) => Math.floor(next() * limit)
  let nowMs = 1_000_000
  let changedAtMs = nowMs
  const refusals: Array<AdmissionShare.Refusal> = Array.from(
    { length: below(2) * below(9) },
    () => ({ process: "gone", gatewayScope: gateway, atMs: nowMs - below(30_000) })
  )
  const processes: Array<Process> = []
  const living = () => processes.filter(({ lives }) => lives)
  const read = (process: Process) => {
    process.readAtMs = nowMs
    process.view = {
      sinceMs: process.view.sinceMs,
      others: new Set(living().flatMap(({ id }) => id === process.id ? [] : [id])),
      refusals: refusals.filter(({ atMs, process: of }) => of !== process.id && atMs > nowMs - AdmissionStep.windowMs)
    }
  }
  const join = (sinceMs: number) => {
    const process: Process = {
      id: `process-${processes.length}`,
      gate: AdmissionStep.initial,
      view: { sinceMs, others: new Set(), refusals: [] },
      readAtMs: 0,
      begunAtMs: [],
      lives: true
    }
    processes.push(process)
    read(process)
  }
  for (let count = below(8); count >= 0; count--) join(0)
  processes.forEach(read)

  const most = { refused: 0, underWay: 0 }
  const underWay = () => living().flatMap((process) => Array<Process>(process.gate.underWay).fill(process))
  /** As many handshakes as may, or fewer. */
  const begin = (process: Process) => {
    for (let devices = below(20); devices > 0; devices--) {
      const allowance = AdmissionShare.allowance(process.view, gateway, nowMs)
      if (AdmissionStep.decide(process.gate, allowance, nowMs)._tag === "Wait") return
      process.gate = AdmissionStep.entered(process.gate)
      process.begunAtMs.push(nowMs)
    }
  }
  const end = (process: Process, outcome: AdmissionStep.Outcome) => {
    process.begunAtMs.shift()
    process.gate = AdmissionStep.left(process.gate, outcome, nowMs)
  }
  for (let event = 0; event < 400; event++) {
    nowMs += below(next() < 0.7 ? 30 : next() < 0.9 ? 1500 : 30_000)
    if (changes) {
      for (const process of living()) {
        if (nowMs - process.readAtMs >= 2000) read(process)
        while (nowMs - (process.begunAtMs[0] ?? nowMs) >= 8000) end(process, "Failed")
      }
    }
    const process = living()[below(living().length)]
    const ending = underWay()[below(underWay().length)]
    const kind = next()
    if (kind < 0.4) {
      if (process !== undefined) begin(process)
    } else if (kind < 0.84) {
      if (ending !== undefined && !accepts) {
        ending.gate = AdmissionStep.refused(ending.gate, nowMs)
        refusals.push({ process: ending.id, gatewayScope: gateway, atMs: nowMs })
      }
      if (ending !== undefined) end(ending, accepts ? "Accepted" : "Failed")
    } else if (kind < 0.86) {
      if (ending !== undefined) end(ending, next() < 0.5 ? "Failed" : "Interrupted")
    } else if (kind < 0.96) {
      if (process !== undefined) read(process)
    } else if (kind < 0.98) {
      if (!turns) continue
      accepts = !accepts
      for (const each of underWay()) end(each, "Failed")
      nowMs += AdmissionStep.trustMs
    } else if (changes && nowMs - changedAtMs > 10_000) {
      changedAtMs = nowMs
      if (next() < 0.5 && living().length < 8) join(nowMs)
      // One that has a handshake under way would not hear what becomes of it.
      else if (living().length > 1 && process?.gate.underWay === 0) process.lives = false
    }
    const recent = refusals.filter(({ atMs }) => atMs > nowMs - AdmissionStep.windowMs)
    most.refused = Math.max(most.refused, recent.length)
    most.underWay = Math.max(most.underWay, underWay().length)
  }
  return { ...most, processes: living(), nowMs, read }
}

const seeds = Array.from({ length: 300 }, (_, seed) => seed)
const most = (values: ReadonlyArray<number>) => values.reduce((one, other) => Math.max(one, other), 0)

describe("the parts of an address", () => {
  it("B09: processes are refused eight times in a minute together, however old their figures are", () => {
    assert.strictEqual(most(seeds.map((seed) => play(seed, {}).refused)), AdmissionShare.limits.refusals)
  })

  it("B09: nine times at most while processes come and end", () => {
    assert.strictEqual(most(seeds.map((seed) => play(seed, { changes: true }).refused)), 9)
  })

  it("a gateway that accepts credentials sees 24 handshakes at once", () => {
    const all = seeds.map((seed) => play(seed, { accepts: true, turns: false }).underWay)
    assert.strictEqual(most(all), AdmissionShare.limits.handshakes)
  })

  it("whatever happened, a minute later each process may begin a handshake", () => {
    for (const seed of seeds) {
      const { nowMs, processes, read } = play(seed, { changes: true })
      for (const process of processes) {
        read(process)
        const laterMs = nowMs + AdmissionStep.windowMs
        const idle = { ...process.gate, underWay: 0 }
        const allowance = AdmissionShare.allowance(process.view, gateway, laterMs)
        assert.strictEqual(AdmissionStep.decide(idle, allowance, laterMs)._tag, "Enter", `seed ${seed}`)
      }
    }
  })

  it("of more than eight processes each may begin one where nothing was refused, and none where something was", () => {
    const others = new Set(Array.from({ length: 19 }, (_, index) => `process-${index}`))
    const view: AdmissionShare.View = { sinceMs: 0, others, refusals: [] }
    const quiet = { handshakes: 1, refusals: 1, refusedElsewhere: false }
    assert.deepStrictEqual(AdmissionShare.allowance(view, gateway, 1e6), quiet)
    const refusals = [{ process: "process-3", gatewayScope: gateway, atMs: 1e6 - 1 }]
    const refused = { handshakes: 1, refusals: 0, refusedElsewhere: true }
    assert.deepStrictEqual(AdmissionShare.allowance({ ...view, refusals }, gateway, 1e6), refused)
    assert.deepStrictEqual(AdmissionShare.allowance({ ...view, refusals }, "wss://other.example/", 1e6), quiet)
  })
})
