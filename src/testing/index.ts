/**
 * For authors of tests: a scriptable gateway that runs in memory under `TestClock` or behind a socket, arbitraries, and the
 * laws that every signer has to keep.
 */
export * from "../devgateway/Agent.ts"
export { DevGateway } from "../devgateway/DevGateway.ts"
export type { Interface as DevGatewayInterface, Options as DevGatewayOptions } from "../devgateway/DevGateway.ts"
export * as DevGatewayWs from "../devgateway/DevGatewayWs.ts"
export type { Fault } from "../devgateway/Fault.ts"
export * as Recording from "../recorder/Recording.ts"
export * as Replay from "../recorder/Replay.ts"
export * as Arbitraries from "./Arbitraries.ts"
export * as MemoryGateway from "./MemoryGateway.ts"
export * as MemoryTransport from "./MemoryTransport.ts"
export * as SignatureLaws from "./SignatureLaws.ts"
