/** What a running program tells, for the checks of doctor. */
import type { StatusReport } from "../../src/status/StatusReport.ts"

export const report = (change: Partial<StatusReport>): StatusReport => ({
  version: 1,
  command: "run",
  pid: 42,
  program: "0.1.0",
  nodejs: "v24.0.0",
  startedAt: "",
  uptimeMs: 0,
  clockStepMs: 0,
  device: { deviceId: "", compareCode: "" },
  gateway: { url: "", embedded: false },
  roles: ["operator"],
  state: "connected",
  since: "",
  credential: { configured: "token", stored: false },
  tasks: { queued: 0, sent: 0, replied: 0, failed: 0 },
  ...change
})
