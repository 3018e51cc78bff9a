/**
 * Loaded first. Node.js opens its debugger at SIGUSR1, and every program of this user could then read the key. A listener
 * takes the signal's place.
 */
import process from "node:process"

process.on("SIGUSR1", () => {})
