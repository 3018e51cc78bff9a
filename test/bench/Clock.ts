/** Milliseconds with fractions on the monotonic clock of this machine, which all of its processes share. */
export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6
