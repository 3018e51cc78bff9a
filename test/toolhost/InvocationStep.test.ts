import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import type { InvokeRequest } from "../../src/protocol/NodeEvent.ts"
import type { Action, Input, Result, State } from "../../src/toolhost/InvocationStep.ts"
import { begin, mostRemembered, mostRememberedLength, refusals, step } from "../../src/toolhost/InvocationStep.ts"

const Move = Schema.Struct({
  what: Schema.Literals(["ask", "ask", "ask", "again", "cancel", "end", "fail", "lose", "wait"]),
  which: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 11 }))
})

const bounds = { running: 2, queued: 3, argumentsLength: 500, resultLength: 1000 }

const request = (id: string, key: string): InvokeRequest => ({
  id,
  nodeId: "node",
  command: "mcp.tools.call.v1",
  paramsJSON: JSON.stringify({ server: "effect", tool: "one", arguments: { key } }),
  timeoutMs: 10_000,
  idempotencyKey: key
})

/** A host as the interpreter is one, with everything that it was told and did. */
const world = (ready = true) => {
  let state: State = begin(bounds, ready)
  let nowMs = 0
  let ids = 0
  const running = new Map<string, "running" | "stopping">()
  const runs = new Map<string, number>()
  const open = new Set<string>()
  const answers = new Map<string, number>()
  const act = (action: Action) => {
    switch (action._tag) {
      case "Run":
        assert.isFalse(running.has(action.call.key), "runs once at a time")
        running.set(action.call.key, "running")
        runs.set(action.call.key, (runs.get(action.call.key) ?? 0) + 1)
        return
      case "Interrupt":
        assert.strictEqual(running.get(action.key), "running")
        running.set(action.key, "stopping")
        return
      case "Answer":
        assert.isTrue(open.delete(action.id), `${action.id} waits for an answer`)
        answers.set(action.id, (answers.get(action.id) ?? 0) + 1)
    }
  }
  const take = (input: Input) => {
    const [next, actions] = step(state, input)
    state = next
    for (const action of actions) act(action)
    const stages = [...state.entries.values()].map(({ stage }) => stage)
    assert.isAtMost(stages.filter((stage) => stage !== "Queued").length, bounds.running)
    assert.isAtMost(stages.filter((stage) => stage === "Queued").length, bounds.queued)
    assert.deepStrictEqual(
      [...running].toSorted(),
      [...state.entries].flatMap(([key, { stage }]) =>
        stage === "Queued" ? [] : [[key, stage === "Running" ? "running" : "stopping"] as const]
      ).toSorted()
    )
    assert.isAtMost(state.remembered.size, mostRemembered)
  }
  const end = (key: string, failed: boolean) => {
    const stopped = running.get(key) === "stopping"
    running.delete(key)
    const result = failed || stopped ? undefined : { ok: true as const, payload: { content: [] } }
    take({ _tag: "Ended", key, result, length: 10, nowMs })
  }
  return {
    open,
    runs,
    state: () => state,
    take,
    ask: (key: string) => {
      const id = `id-${++ids}`
      open.add(id)
      take({ _tag: "Requested", request: request(id, key), nowMs })
    },
    cancel: (index: number) => {
      const id = [...open][index % Math.max(1, open.size)]
      if (id === undefined) return
      open.delete(id)
      take({ _tag: "Cancelled", id })
    },
    end: (index: number, failed: boolean) => {
      const key = [...running.keys()][index % Math.max(1, running.size)]
      if (key !== undefined) end(key, failed)
    },
    lose: () => {
      open.clear()
      take({ _tag: "LinkLost", nowMs })
    },
    wait: (ms: number) => void (nowMs += ms),
    finish: () => {
      while (running.size > 0) for (const key of running.keys()) end(key, false)
    }
  }
}

describe("InvocationStep", () => {
  it.prop(
    "over arbitrary lives every request is answered once or given up, bounds hold, and nothing is left",
    [Arbitrary.array(Arbitrary.schema(Move), { maxLength: 60 })],
    ([moves]) => {
      const host = world()
      for (const { what, which } of moves) {
        if (what === "ask" || what === "again") host.ask(what === "ask" ? `key-${which}` : "key-0")
        else if (what === "cancel") host.cancel(which)
        else if (what === "end" || what === "fail") host.end(which, what === "fail")
        else if (what === "lose") host.lose()
        else host.wait(which * 1000)
      }
      host.finish()
      assert.strictEqual(host.open.size, 0)
      assert.strictEqual(host.state().entries.size, 0)
    },
    { arbitrary: { seed: 1, runs: 1000 } }
  )

  it("a call runs once in the time in which its result is remembered, however it ended", () => {
    for (const way of ["ended", "failed", "cancelled", "lost"] as const) {
      const host = world()
      host.ask("one")
      if (way === "cancelled") host.cancel(0)
      if (way === "lost") host.lose()
      host.end(0, way === "failed")
      host.wait(9000)
      host.ask("one")
      assert.deepStrictEqual([...host.runs.values()], [1], way)
      host.wait(1001)
      host.ask("one")
      assert.deepStrictEqual([...host.runs.values()], [2], way)
    }
  })

  it("a model that calls every call the same makes two calls where session or arguments differ", () => {
    let state: State = begin(bounds, true)
    let runs = 0
    const ask = (id: string, key: string, sessionKey: string) => {
      const [next, actions] = step(state, {
        _tag: "Requested",
        request: { ...request(id, key), idempotencyKey: "call_1", sessionKey },
        nowMs: 0
      })
      state = next
      runs += actions.filter(({ _tag }) => _tag === "Run").length
      return state.entries.size
    }
    assert.strictEqual(ask("1", "aa", "one"), 1)
    assert.strictEqual(ask("2", "aa", "one"), 1, "asked again")
    // Of the same length.
    assert.strictEqual(ask("3", "ab", "one"), 2)
    assert.strictEqual(ask("4", "aa", "two"), 3)
    assert.strictEqual(runs, bounds.running)
  })

  /** The actions that follow from these inputs, one list each, and the state after them. */
  const after = (inputs: ReadonlyArray<Input>) => {
    let state: State = begin(bounds, true)
    const actions = inputs.map((input) => {
      const [next, actions] = step(state, input)
      state = next
      return actions
    })
    return { actions, state }
  }
  const asks = (id: string, key: string): Input => ({ _tag: "Requested", request: request(id, key), nowMs: 0 })
  const ends = (key: string | undefined, nowMs: number, length = 10): Input => ({
    _tag: "Ended",
    key: key ?? "",
    result: { ok: true, payload: { content: [] } },
    length,
    nowMs
  })
  const keyOf = (name: string) => [...after([asks("x", name)]).state.entries.keys()][0]
  const told = (id: string, result: Result): Action => ({ _tag: "Answer", id, nodeId: "node", result })

  it("a call goes on while somebody waits for it, and one that is being stopped is not joined", () => {
    const { actions } = after([
      asks("1", "a"),
      asks("2", "a"),
      { _tag: "Cancelled", id: "1" },
      { _tag: "Cancelled", id: "2" },
      asks("3", "a")
    ])
    assert.deepStrictEqual(actions.slice(1), [
      [],
      [],
      [{ _tag: "Interrupt", key: keyOf("a") ?? "" }],
      [told("3", refusals.stopping)]
    ])
  })

  it("what waited longer than the gateway does is answered, and not run", () => {
    const { actions, state } = after([asks("1", "a"), asks("2", "b"), asks("3", "c"), ends(keyOf("a"), 10_000)])
    assert.deepStrictEqual(actions.at(-1)?.slice(1), [told("3", refusals.late)])
    assert.strictEqual(state.entries.size, 1)
  })

  it("so many results are remembered, and so much of them", () => {
    const lives = (count: number, length: number) =>
      after(
        Array.from({ length: count }, (_, index) => [asks(`${index}`, `${index}`), ends(keyOf(`${index}`), 0, length)])
          .flat()
      )
        .state.remembered
    assert.strictEqual(lives(mostRemembered + 6, 10).size, mostRemembered)
    const large = lives(6, mostRememberedLength / 4)
    assert.strictEqual(large.size, 4)
    assert.isFalse(large.has(keyOf("0") ?? ""), "the oldest go first")
  })

  it("answers at once what it does not run", () => {
    const answer = (request: InvokeRequest, ready = true) =>
      step(begin(bounds, ready), { _tag: "Requested", request, nowMs: 0 })[1]
    const asked = request("id", "key")
    const answered = (result: Result): ReadonlyArray<Action> => [{ _tag: "Answer", id: "id", nodeId: "node", result }]
    assert.deepStrictEqual(answer({ ...asked, command: "system.run" }), answered(refusals.otherCommand))
    assert.deepStrictEqual(answer(asked, false), answered(refusals.notReady))
    for (const paramsJSON of [null, "", "{", "[]", '{"server":"x"}']) {
      assert.deepStrictEqual(answer({ ...asked, paramsJSON }), answered(refusals.malformed))
    }
  })
})
