/**
 * One call of a tool, from arguments that nobody has checked to the result that the model reads.
 *
 * What the model can mend goes back as text: arguments that the tool's schema refuses, and failures that the tool declares. A
 * defect is logged here, and the model gets a fixed text. Neither arguments nor results are logged, nor are they in a span.
 */
import * as AiError from "effect/ai/AiError"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as Monotonic from "../handshake/Monotonic.ts"
import type { ToolOutput } from "../protocol/NodeMethod.ts"
import type { Call } from "./InvocationStep.ts"
import type { Approve, Verdict } from "./ToolApproval.ts"
import type { SourceTool } from "./ToolSource.ts"

/** A toolkit whose handlers are up, as this module uses it. */
export interface Handlers {
  readonly tools: Readonly<Record<string, Tool.Any>>
  /** What the schemas of the tools need. */
  readonly context: Context.Context<never>
  readonly handle: (
    name: string,
    params: unknown,
    toolCallId: string
  ) => Effect.Effect<Stream.Stream<Tool.HandlerResult<Tool.Any>, unknown>, unknown>
}

const text = (text: string): ToolOutput["content"][number] => ({ type: "text", text })
const failed = (message: string): ToolOutput => ({ content: [text(message)], isError: true })

/** What the model is told of a defect. */
export const defectText = "The tool failed because of an internal error. Its host has logged the cause."

const refusalText = (name: string, verdict: Exclude<Verdict, true>) =>
  `The tool ${name} was not called: ${
    verdict === false ? "nobody has allowed this call" : verdict.because
  }. Do not call it again unless the user asks for it.`

const asObject = (value: unknown): boolean => Predicate.isObject(value) && !Array.isArray(value)

/** Encoded values as text, and as structured content where they are objects, which MCP asks for. */
const succeeded = (encoded: unknown): ToolOutput => ({
  content: encoded === undefined ? [] : [text(JSON.stringify(encoded))],
  ...(asObject(encoded) ? { structuredContent: encoded } : {})
})

/** Marked by its author: the annotation alone counts, as effect/ai takes every tool without one for destructive. */
const isMarked = (tool: Tool.Any): boolean =>
  tool.annotations.mapUnsafe.has(Tool.Destructive.key) && Context.get(tool.annotations, Tool.Destructive)

const verdictOn = Effect.fnUntraced(
  function*(
    tool: Tool.Any,
    call: Call,
    approve: Approve
  ): Effect.fn.Return<Verdict, unknown> {
    const { arguments: given, idempotencyKey } = call
    const { needsApproval } = tool
    const isAsked = isMarked(tool) || needsApproval === true
      || (typeof needsApproval === "function" && (yield* asksByItself(tool, needsApproval, given, idempotencyKey)))
    const title = Context.getOrUndefined(tool.annotations, Tool.Title)
    return !isAsked || (yield* ask(tool.name, title, call, approve))
  }
)

const ask = (
  tool: string,
  title: string | undefined,
  { arguments: given, endsAtMs, sessionKey }: Call,
  approve: Approve
): Effect.Effect<Verdict> =>
  Effect.flatMap(
    Clock.Clock,
    (clock) => approve({ tool, title, arguments: given, sessionKey, endsInMs: endsAtMs - Monotonic.nowMs(clock) })
  )

/** Arguments that cannot be decoded are refused later, whoever has to be asked. */
const asksByItself = (
  tool: Tool.Any,
  needsApproval: Tool.NeedsApprovalFunction<Schema.Constraint>,
  given: unknown,
  toolCallId: string
): Effect.Effect<boolean> =>
  Effect.flatMap(Effect.result(decode(tool, given)), (decoded) => {
    if (Result.isFailure(decoded)) return Effect.succeed(false)
    const asks = needsApproval(decoded.success, { toolCallId, messages: [] })
    return typeof asks === "boolean" ? Effect.succeed(asks) : asks
  })

const decode = (tool: Tool.Any, given: unknown): Effect.Effect<unknown, unknown> =>
  Schema.isSchema(tool.parametersSchema)
    ? Schema.decodeUnknownEffect(tool.parametersSchema)(given) as Effect.Effect<unknown, unknown>
    : Effect.succeed(given)

/** Calls the tool. Fails never, and is interrupted with it. */
export const run = (handlers: Handlers, call: Call, approve: Approve): Effect.Effect<ToolOutput> => {
  const tool = Object.hasOwn(handlers.tools, call.tool) ? handlers.tools[call.tool] : undefined
  if (tool === undefined) return Effect.succeed(failed(`There is no tool ${call.tool} here.`))
  return unspanned(
    Effect.provideContext(
      decided(tool.name, verdictOn(tool, call, approve), () => handle(handlers, tool, call)),
      handlers.context
    )
  )
}

/** Makes a call if it is allowed. Fails never, and is interrupted with it. */
const decided = <R>(
  tool: string,
  verdict: Effect.Effect<Verdict, unknown, R>,
  make: () => Effect.Effect<ToolOutput, unknown, R>
): Effect.Effect<ToolOutput, never, R> =>
  Effect.flatMap(verdict, (said) => said === true ? make() : Effect.succeed(failed(refusalText(tool, said)))).pipe(
    Effect.catchCause((cause) => reported(tool, cause))
  )

/** effect/ai writes the arguments into the span of whoever calls. */
const unspanned = <A>(effect: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.updateContext(effect, (context: Context.Context<never>) => Context.omit(Tracer.ParentSpan)(context))

/** Calls a tool of a source, which checks the arguments itself. Fails never, and is interrupted with it. */
export const runRemote = (tool: SourceTool, call: Call, approve: Approve): Effect.Effect<ToolOutput> =>
  unspanned(decided(
    call.tool,
    tool.isMarked ? ask(call.tool, tool.title, call, approve) : Effect.succeed<Verdict>(true),
    () => Effect.catch(tool.call(call.arguments), ({ message }) => Effect.succeed(failed(message)))
  ))

const handle = (handlers: Handlers, tool: Tool.Any, { arguments: given, idempotencyKey }: Call) =>
  handlers.handle(tool.name, given, idempotencyKey).pipe(
    Stream.unwrap,
    Stream.runLast,
    Effect.flatMap(Effect.fromOption),
    Effect.flatMap((result) => outputOf(tool, result)),
    Effect.catchCause((cause) => declared(tool, cause))
  )

/** With `failureMode: "return"` every failure comes as a result. */
const outputOf = (tool: Tool.Any, result: Tool.HandlerResult<Tool.Any>): Effect.Effect<ToolOutput, unknown> => {
  if (!result.isFailure) return Effect.succeed(succeeded(result.encodedResult))
  return result.failureOrigin === "handler"
    ? Effect.succeed({ content: succeeded(result.encodedResult).content, isError: true })
    : declared(
      tool,
      Cause.annotate(Cause.fail(result.result), Context.make(Toolkit.FailureOrigin, result.failureOrigin ?? "result"))
    )
}

/** A failure that the model is told: refused arguments, or one that the tool declares. */
const declared = (tool: Tool.Any, cause: Cause.Cause<unknown>): Effect.Effect<ToolOutput, unknown> => {
  const failure = Cause.findFail(cause)
  if (Result.isFailure(failure)) return Effect.failCause(cause)
  const { error } = failure.success
  const origin = Context.get(Cause.reasonAnnotations(failure.success), Toolkit.FailureOrigin)
  if (origin === "parameters" && AiError.isAiError(error)) return Effect.succeed(failed(error.reason.message))
  return origin === "handler" && Schema.is(tool.failureSchema)(error)
    ? Effect.map(failureText(tool, error), failed)
    : Effect.failCause(cause)
}

const failureText = (tool: Tool.Any, error: unknown): Effect.Effect<string, unknown> =>
  error instanceof Error && error.message !== ""
    ? Effect.succeed(error.message)
    : Effect.map(
      Schema.encodeUnknownEffect(tool.failureSchema)(error) as Effect.Effect<unknown, unknown>,
      (encoded) => JSON.stringify(encoded) ?? ""
    )

/** A failure may hold arguments or a result, as those of effect/ai do; a defect is what the program itself says. */
const reported = (name: string, cause: Cause.Cause<unknown>): Effect.Effect<ToolOutput> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
  const dies = Cause.fromReasons(cause.reasons.filter(Cause.isDieReason))
  const log = dies.reasons.length > 0
    ? Effect.logError("a tool failed with a defect", dies)
    : Effect.logError("a tool gave a result or failure that its schemas do not describe")
  return Effect.as(Effect.annotateLogs(log, { tool: name }), failed(defectText))
}
