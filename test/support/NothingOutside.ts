/**
 * Set up before each file of the fast tests: a process or a socket fails there. A test that needs one is named `*.slow.test.ts`.
 */
import childProcess from "node:child_process"
import { syncBuiltinESMExports } from "node:module"
import { Server, Socket } from "node:net"

const refuse = (what: string) => () => {
  throw new Error(`a fast test ${what}: name its file *.slow.test.ts`)
}

const noProcess = refuse("starts a process")
Object.assign(childProcess.ChildProcess.prototype, { spawn: noProcess })
Object.assign(childProcess, { spawnSync: noProcess, execSync: noProcess, execFileSync: noProcess })
syncBuiltinESMExports()
Object.assign(Server.prototype, { listen: refuse("listens") })
Object.assign(Socket.prototype, { connect: refuse("opens a socket") })
