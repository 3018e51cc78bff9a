import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import { createHash } from "node:crypto"
import { DeviceIdentity, type FileOptions } from "../../src/identity/DeviceIdentity.ts"
import { Signer } from "../../src/identity/Signer.ts"
import { TokenStore } from "../../src/identity/TokenStore.ts"
import { HostUser } from "../../src/storage/HostUser.ts"
import { PrivateFile } from "../../src/storage/PrivateFile.ts"
import { type Behaviour, type Disk, makeFileSystem, user } from "../storage/MemoryFiles.ts"

/** Randomness that two runs share when they name the same seed, as two processes never do. */
export const seededRandom = (seed: string): Layer.Layer<SecureRandom.SecureRandom> =>
  Layer.sync(SecureRandom.SecureRandom, () => {
    let draws = 0
    return SecureRandom.make((size) => {
      const blocks = Array.from(
        { length: Math.ceil(size / 32) },
        () => createHash("sha256").update(`${seed}:${draws++}`).digest()
      )
      return new Uint8Array(Buffer.concat(blocks).subarray(0, size))
    })
  })

export interface Machine extends Behaviour {
  /** Names the process: another name, other random numbers. */
  readonly seed?: string
  /** The user that the process acts as. */
  readonly hostUser?: number | undefined
}

/** One process on a disk. */
export const machine = (disk: Disk, options: Machine = {}) =>
  Layer.mergeAll(
    Layer.effect(FileSystem.FileSystem, makeFileSystem(disk, options)).pipe(Layer.provideMerge(Path.layer)),
    seededRandom(options.seed ?? "process"),
    Layer.succeed(HostUser, "hostUser" in options ? options.hostUser : user),
    Signer.layerNodejs
  )

export const path = "/state/effect-openclaw/identity.json"

/** Starts a process far enough to have its identity. */
export const load = (disk: Disk, options: Partial<FileOptions> = {}, on: Machine = {}) =>
  Effect.map(
    Layer.build(DeviceIdentity.layerFile({ path, ...options }).pipe(Layer.provide(machine(disk, on)))),
    Context.get(DeviceIdentity)
  ).pipe(Effect.scoped)

export const privateFile = (disk: Disk, on: Machine = {}) =>
  Effect.map(Layer.build(PrivateFile.layer.pipe(Layer.provide(machine(disk, on)))), Context.get(PrivateFile))

export const tokenStore = (disk: Disk, on: Machine = {}) =>
  Effect.map(
    Layer.build(TokenStore.layerFile({ directory: "/state/tokens" }).pipe(Layer.provide(machine(disk, on)))),
    Context.get(TokenStore)
  )

/** Ends the process at the given operation: nothing of it touches the disk from there on, not even its cleaning up. */
export const killAt = (
  operation: number
): { readonly gate: () => Effect.Effect<void>; readonly count: () => number } => {
  let operations = 0
  return {
    gate: () => Effect.suspend(() => ++operations > operation ? Effect.die("killed") : Effect.void),
    count: () => operations
  }
}

/** Lets the other processes go first, by turns that the seed decides. */
export const interleaved = (seed: string): { readonly gate: () => Effect.Effect<void> } => {
  let draws = 0
  return {
    gate: () =>
      Effect.suspend(() => {
        const turns = (createHash("sha256").update(`${seed}:${draws++}`).digest()[0] ?? 0) % 6
        return Effect.repeat(Effect.yieldNow, { times: turns })
      })
  }
}
