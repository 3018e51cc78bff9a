/**
 * What is less private or less safe than it should be, and did not stop an operation on a private file.
 */
export type StorageWarning =
  /** Other users could read or write the file with this mode; it is 0600 now. */
  | { readonly _tag: "ModeRepaired"; readonly path: string; readonly mode: number }
  /** Other users can read or write the file, and its mode could not be changed. */
  | { readonly _tag: "ModeNotRepaired"; readonly path: string; readonly mode: number }
  /** The file system keeps no modes: whether the file is private is up to the mount or to access lists. */
  | { readonly _tag: "ModesUnsupported"; readonly path: string }
  /** The file system has no hard links: its renames alone keep two processes that create at the same instant apart. */
  | { readonly _tag: "LinksUnsupported"; readonly path: string }
