import type { OpenClawPairingDialog } from "effect-openclaw/pairing-dialog"
import "effect-openclaw/pairing-dialog"
import { useEffect, useRef, useState } from "react"

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "openclaw-pairing-dialog":
        & ClassAttributes<OpenClawPairingDialog>
        & Partial<Pick<OpenClawPairingDialog, "src" | "token">>
    }
  }
}

/** The dialog reads the agent's stream itself. */
export const WithStream = ({ src, token }: { readonly src: string; readonly token: string }) => (
  <openclaw-pairing-dialog src={src} token={token} />
)

export type AgentEvent = NonNullable<OpenClawPairingDialog["event"]>

/** The host has a channel of its own: it hands over each event as it comes. State would lose some, a ref does not. */
export const WithOwnChannel = ({ checkNow, subscribe }: {
  readonly subscribe: (listener: (event: AgentEvent) => void) => () => void
  readonly checkNow: () => void
}) => {
  const dialog = useRef<OpenClawPairingDialog>(null)
  const [count, setCount] = useState(0)
  useEffect(() =>
    subscribe((event) => {
      if (dialog.current !== null) dialog.current.event = event
      setCount((before) => before + 1)
    }), [subscribe])
  useEffect(() => {
    const element = dialog.current
    element?.addEventListener("openclaw-check-now", checkNow)
    return () => element?.removeEventListener("openclaw-check-now", checkNow)
  }, [checkNow])
  return (
    <>
      <p>{count} events</p>
      <openclaw-pairing-dialog ref={dialog} />
    </>
  )
}
