const dialog = document.querySelector("openclaw-pairing-dialog")
dialog.token = new URLSearchParams(location.hash.slice(1)).get("token") ?? undefined
dialog.addEventListener("openclaw-agent-event", ({ detail }) => {
  document.querySelector("#last").textContent = detail.event
})
