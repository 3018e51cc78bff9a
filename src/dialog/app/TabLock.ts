/**
 * What the tabs of one browser do once for all of them: a lock by name, which the browser hands to the next tab when the one
 * that holds it is closed. Locks exist in secure contexts only, so pages on loopback have them.
 */

/**
 * A name for what is at a URL, for those who have its token; absent where there are no locks. Every script of the origin can
 * list the names, so they do not show the token.
 */
export const lockName = async (url: URL, token: string): Promise<string | undefined> => {
  if (navigator.locks === undefined || crypto.subtle === undefined) return undefined
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify([url.href, token])))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("")
}

/**
 * Runs `body` while this tab holds the lock; without a name at once. Ends when `body` has, or when `signal` says so before it
 * began.
 */
export const withLock = async (
  name: string | undefined,
  signal: AbortSignal,
  body: () => Promise<void>
): Promise<void> => {
  if (name === undefined) return await body()
  await navigator.locks.request(name, { signal }, body).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
}
