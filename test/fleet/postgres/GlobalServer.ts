/**
 * The server of a test run. Files that stop and start a server have one of their own.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { TestProject } from "vitest/node"
import { server } from "./Postgres.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly databaseUrl: string
  }
}

export default async (project: TestProject) => {
  const scope = Scope.makeUnsafe()
  const { url } = await Effect.runPromise(Scope.provide(server, scope))
  project.provide("databaseUrl", url)
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
