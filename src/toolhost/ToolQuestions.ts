/**
 * Asks a person whether a marked tool may be called: at a terminal, on a page, or wherever a program shows the questions.
 *
 * A question belongs to its call. It ends when a person decides, and with the call: at its deadline, when it is cancelled and when
 * the link is lost. What was asked is untrusted text of a model; `QuestionStep` makes it safe to show.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Broadcast from "../broadcast/Broadcast.ts"
import type { Answered, Change, Decision, State } from "./QuestionStep.ts"
import * as QuestionStep from "./QuestionStep.ts"
import type { Approve, Verdict } from "./ToolApproval.ts"

/** Which calls need no question. */
export interface Options {
  /** Names of marked tools that may be called without a question. */
  readonly allow?: ReadonlyArray<string>
}

/** The calls of marked tools that wait for a person. */
export class ToolQuestions extends Context.Service<ToolQuestions, {
  /** What a host of tools takes as its `approve`. Refuses at once while nobody could answer, and where too many questions wait. */
  readonly approve: Approve
  /** The questions that wait, then each that is asked and each that is settled. */
  readonly changes: Stream.Stream<Change>
  /** Answers a question. The first answer counts. */
  readonly answer: (id: string, decision: Decision) => Effect.Effect<Answered>
  /** While the scope is open, there is a place where a person could answer. */
  readonly attend: Effect.Effect<void, never, Scope.Scope>
}>()("effect-openclaw/toolhost/ToolQuestions") {
  static readonly make = (options: Options = {}): Effect.Effect<ToolQuestions["Service"], never, Scope.Scope> =>
    make(options)

  static readonly layer = (options?: Options): Layer.Layer<ToolQuestions> =>
    Layer.effect(this, ToolQuestions.make(options))
}

const make = Effect.fnUntraced(function*({ allow = [] }: Options) {
  const clock = yield* Clock.Clock
  const allowed = new Set(allow)
  const decisions = new Map<string, Deferred.Deferred<Decision>>()
  let state: State = QuestionStep.none
  const changes = Broadcast.make<Change>({
    snapshot: () => [...state.pending.values()].map((question) => ({ _tag: "Asked", question }))
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => changes.end()))

  /** The question, if it was still open: it is settled by this, and by nothing after it. */
  const settle = (id: string, outcome: Extract<Change, { readonly _tag: "Settled" }>["outcome"]) => {
    const [next, question] = QuestionStep.take(state, id)
    state = next
    decisions.delete(id)
    if (question !== undefined) changes.publish({ _tag: "Settled", question, outcome })
    return question
  }

  const refuse = (tool: string, verdict: Verdict): Effect.Effect<Verdict> =>
    Effect.as(
      Effect.annotateLogs(Effect.logWarning("a call of a marked tool was refused: nobody could decide"), { tool }),
      verdict
    )

  // Uninterruptible but for the wait: what was asked is settled, whenever the call ends.
  const approve: Approve = (request) =>
    Effect.uninterruptibleMask((restore) => {
      if (allowed.has(request.tool)) return Effect.succeed(true)
      const [next, asked] = QuestionStep.ask(state, request, clock.currentTimeMillisUnsafe())
      state = next
      if ("because" in asked) return restore(refuse(request.tool, asked))
      const decision = Deferred.makeUnsafe<Decision>()
      decisions.set(asked.id, decision)
      changes.publish({ _tag: "Asked", question: asked })
      return Effect.ensuring(
        Effect.map(restore(Deferred.await(decision)), (said): Verdict =>
          said === "allow" || QuestionStep.refusals.denied),
        Effect.sync(() =>
          void settle(asked.id, "ended")
        )
      )
    })

  return ToolQuestions.of({
    approve,
    changes: changes.subscribe(),
    answer: (id, decision) =>
      Effect.sync((): Answered => {
        const waiting = decisions.get(id)
        if (settle(id, decision === "allow" ? "allowed" : "denied") === undefined) return QuestionStep.missed(state, id)
        if (waiting !== undefined) Deferred.doneUnsafe(waiting, Effect.succeed(decision))
        return "taken"
      }),
    attend: Effect.asVoid(Effect.acquireRelease(
      Effect.sync(() => void (state = { ...state, audience: state.audience + 1 })),
      () => Effect.sync(() => void (state = { ...state, audience: state.audience - 1 }))
    ))
  })
})
