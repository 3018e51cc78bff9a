/**
 * What the page around the dialog says, in each of its languages.
 */
const english = {
  title: "OpenClaw device",
  approvalTitle: "Approval needed",
  connecting: "Connecting to the gateway…",
  connected: "Connected",
  suspended: "Connected; the gateway is suspended and takes no tasks now",
  missing: (scopes: string) => `Connected, without: ${scopes}`,
  pending: "Waiting for approval",
  waiting: "Gateway out of reach, trying again",
  halted: "Not connected",
  paused: "Paused",
  stopped: "The agent has stopped",
  unknown: "Waiting for the agent…",
  lost: "No contact with the agent, trying again…",
  refused: "This page's key is not valid",
  refusedHelp: "Each run of the agent has a key of its own. Open the address that it printed last.",
  noToken: "This page needs its key",
  noTokenHelp: "Open the whole address that the agent printed, including everything after #. It opens this page only.",
  device: "Device",
  code: "Code",
  id: "Id",
  gateway: "Gateway",
  delegate: "Delegate a task",
  placeholder: "What should OpenClaw do?",
  send: "Send",
  sending: "Sending…",
  shortcut: "Ctrl+Enter or ⌘Enter sends",
  notSent: "The agent cannot be reached. Your text is still here.",
  tasks: "Tasks",
  noTasks: "Nothing delegated yet. Replies appear here.",
  task: (id: string) => `Task ${id}`,
  accepted: "Accepted",
  queued: "Queued",
  sent: "Sent",
  running: "At work",
  replied: "Done",
  late: "Late reply",
  failed: "Failed",
  stop: "Stop",
  notStopped: "The task could not be stopped.",
  showAll: "Show all",
  showLess: "Show less",
  notFormatted: "Shown as plain text, as it is too long or too nested to format.",
  truncated: "This reply is not whole: the gateway shortened it. The rest is in the session on the gateway.",
  replyTo: (summary: string) => `Reply to: ${summary}`,
  queuedReasons: {
    AwaitingApproval: "It is sent as soon as the device is approved.",
    Offline: "It is sent as soon as the gateway is back.",
    Paused: "It is sent when the agent is resumed.",
    Halted: "It is sent when the connection works again; somebody has to act first.",
    Suspended: "It is sent as soon as the gateway takes work again.",
    Busy: "It is sent when the task before it has ended.",
    OtherGateway: "It is for another gateway than the one in use."
  }
}
export type PageMessages = typeof english

const german: PageMessages = {
  title: "OpenClaw-Gerät",
  approvalTitle: "Freigabe nötig",
  connecting: "Verbindet sich mit dem Gateway …",
  connected: "Verbunden",
  suspended: "Verbunden; das Gateway ruht und nimmt jetzt keine Aufgaben an",
  missing: (scopes) => `Verbunden, ohne: ${scopes}`,
  pending: "Wartet auf Freigabe",
  waiting: "Gateway nicht erreichbar, neuer Versuch folgt",
  halted: "Nicht verbunden",
  paused: "Angehalten",
  stopped: "Der Agent ist beendet",
  unknown: "Wartet auf den Agenten …",
  lost: "Kein Kontakt zum Agenten, neuer Versuch folgt …",
  refused: "Der Schlüssel dieser Seite gilt nicht",
  refusedHelp:
    "Jeder Lauf des Agenten hat einen eigenen Schlüssel. Öffnen Sie die Adresse, die er zuletzt ausgegeben hat.",
  noToken: "Diese Seite braucht ihren Schlüssel",
  noTokenHelp: "Öffnen Sie die ganze Adresse, die der Agent ausgegeben hat, mit allem, was hinter # steht.",
  device: "Gerät",
  code: "Code",
  id: "ID",
  gateway: "Gateway",
  delegate: "Eine Aufgabe übergeben",
  placeholder: "Was soll OpenClaw tun?",
  send: "Senden",
  sending: "Wird gesendet …",
  shortcut: "Strg+Enter oder ⌘Enter sendet",
  notSent: "Der Agent ist nicht zu erreichen. Ihr Text steht noch hier.",
  tasks: "Aufgaben",
  noTasks: "Noch nichts übergeben. Antworten erscheinen hier.",
  task: (id) => `Aufgabe ${id}`,
  accepted: "Angenommen",
  queued: "Wartet",
  sent: "Gesendet",
  running: "In Arbeit",
  replied: "Erledigt",
  late: "Späte Antwort",
  failed: "Fehlgeschlagen",
  stop: "Abbrechen",
  notStopped: "Die Aufgabe ließ sich nicht abbrechen.",
  showAll: "Alles zeigen",
  showLess: "Weniger zeigen",
  notFormatted: "Als reiner Text gezeigt, da zu lang oder zu verschachtelt zum Formatieren.",
  truncated:
    "Diese Antwort ist nicht vollständig: Das Gateway hat sie gekürzt. Der Rest steht in der Sitzung auf dem Gateway.",
  replyTo: (summary) => `Antwort auf: ${summary}`,
  queuedReasons: {
    AwaitingApproval: "Sie wird gesendet, sobald das Gerät freigegeben ist.",
    Offline: "Sie wird gesendet, sobald das Gateway wieder da ist.",
    Paused: "Sie wird gesendet, wenn der Agent weitermacht.",
    Halted: "Sie wird gesendet, wenn die Verbindung wieder geht; dafür muss jemand etwas tun.",
    Suspended: "Sie wird gesendet, sobald das Gateway wieder Aufgaben annimmt.",
    Busy: "Sie wird gesendet, wenn die Aufgabe davor beendet ist.",
    OtherGateway: "Sie ist für ein anderes Gateway als das jetzige."
  }
}

/** The messages in the first of the reader's languages that the page speaks, else in English. */
export const pageMessagesFor = (
  languages: ReadonlyArray<string>
): { readonly language: string; readonly messages: PageMessages } => {
  const first = languages.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => tag === "en" || tag === "de")
  return first === "de" ? { language: "de", messages: german } : { language: "en", messages: english }
}
