/**
 * The scope that a method of the gateway needs.
 *
 * Only methods whose scope is the same in every release from 2026.1.29 to 2026.9.6 (read in the releases' method tables,
 * and tried on 2026.9.6). A method that is not listed is the gateway's to judge.
 */
const methodScopes: ReadonlyMap<string, string> = new Map([
  ["health", "operator.read"],
  ["chat.history", "operator.read"],
  ["chat.send", "operator.write"],
  ["chat.abort", "operator.write"],
  ["agent.wait", "operator.write"],
  ["device.pair.list", "operator.pairing"],
  ["device.pair.approve", "operator.pairing"],
  ["device.pair.reject", "operator.pairing"],
  ["device.pair.remove", "operator.pairing"],
  ["device.token.rotate", "operator.pairing"],
  ["device.token.revoke", "operator.pairing"]
])

export const scopeOf = (method: string): string | undefined => methodScopes.get(method)
