/**
 * The version of this package, as a constant: a program that bundles the library has no `package.json` beside it.
 * `npm version` writes this file; a test holds it equal to `package.json`.
 */
export const packageVersion = "0.1.0"
