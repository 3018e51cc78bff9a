/**
 * The module of a user with tools in it: `toolkit`, a toolkit of effect/ai, and `handlers`, a layer with what its tools do.
 */
import type * as Tool from "effect/ai/Tool"
import type * as Toolkit from "effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Predicate from "effect/Predicate"
import * as OutsideText from "../protocol/OutsideText.ts"
import { CommandFailed } from "./CommandError.ts"

type Tools = Record<string, Tool.Any>

/** What such a module exports. Its tools need nothing but their handlers. */
export interface ToolModule {
  readonly toolkit: Toolkit.Toolkit<Tools>
  readonly handlers: Layer.Layer<Tool.HandlersFor<Tools>, unknown>
}

const unusable = (path: string, problem: string): CommandFailed =>
  new CommandFailed({
    exit: "settings",
    error: "ToolModuleInvalid",
    problem:
      `${
        OutsideText.line(path)
      } ${problem}. It has to export toolkit, made by Toolkit.make of effect/ai, and handlers, made by`
      + " toolkit.toLayer"
  })

const isToolkit = (value: unknown): value is Toolkit.Toolkit<Tools> =>
  Predicate.hasProperty(value, "~effect/ai/Toolkit") && Predicate.hasProperty(value, "tools")
  && Predicate.isObject(value.tools)

const isHandlers = (value: unknown): value is ToolModule["handlers"] => Layer.isLayer(value)

/** Loads the module. Node.js reads TypeScript, too. */
export const load = Effect.fnUntraced(function*(file: string): Effect.fn.Return<ToolModule, CommandFailed, Path.Path> {
  const paths = yield* Path.Path
  const path = paths.resolve(file)
  const { href } = yield* Effect.orDie(paths.toFileUrl(path))
  const module: unknown = yield* Effect.tryPromise({
    try: () => import(href),
    catch: (cause) =>
      unusable(
        path,
        `cannot be loaded: ${OutsideText.field(cause instanceof Error ? cause.message : String(cause))}`.replace(
          /\.$/,
          ""
        )
      )
  })
  const toolkit = Predicate.hasProperty(module, "toolkit") ? module.toolkit : undefined
  const handlers = Predicate.hasProperty(module, "handlers") ? module.handlers : undefined
  if (!isToolkit(toolkit)) return yield* unusable(path, "exports no toolkit")
  if (!isHandlers(handlers)) return yield* unusable(path, "exports no layer named handlers")
  return { toolkit, handlers }
})
