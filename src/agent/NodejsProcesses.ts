/**
 * The processes of this machine, as Node.js sees them.
 */
import type { Processes } from "../tasks/TaskOwner.ts"

/** Signal 0 asks only whether a process is there; one of another user answers by refusing. */
const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

export const nodejsProcesses: Processes = { own: process.pid, isAlive }
