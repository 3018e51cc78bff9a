/**
 * The command line program as a user without rights, in a process that root has started.
 */
process.setgroups?.([])
process.setgid?.(65_534)
process.setuid?.(65_534)
await import("../../../src/cli/Main.ts")
