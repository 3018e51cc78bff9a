import type { Messages } from "./Messages.ts"

const stays =
  "Das Programm läuft weiter und versucht es erst wieder, wenn sich seine Einstellungen ändern oder man es ihm sagt."
const works = "Das Gerät arbeitet weiter mit dem, was freigegeben ist."
const polls = "Das Programm fragt von selbst wieder und macht weiter, sobald das Gerät freigegeben ist."

export const german: Messages = {
  titles: {
    required: "Dieses Gerät freigeben",
    more: "Weitere Rechte warten auf Freigabe",
    expired: "Die Anfrage ist abgelaufen",
    halted: "Nicht verbunden"
  },
  superseded: "Das Gateway hat die Anfrage ersetzt. Der frühere Befehl gilt nicht mehr; nehmen Sie den folgenden.",
  expiring: (left) => `Das Gateway wird gerade nicht gefragt und verwirft diese Anfrage in ${left}.`,
  expired:
    "Das Gateway hat die Anfrage verworfen, ihr Befehl gilt nicht mehr. Eine neue erscheint hier, sobald das Gateway wieder gefragt wird.",
  meanwhile:
    "Inzwischen arbeitet es mit dem, was freigegeben ist. Das Übrige nutzt es, sobald auch das freigegeben ist.",
  ends: {
    resolved: "Das Gerät ist freigegeben. Nichts muss neu gestartet werden.",
    widened: "Weitere Rechte sind freigegeben. Nichts muss neu gestartet werden.",
    rejected: `Weitere Rechte wurden abgelehnt. ${works}`,
    expired: `Die Anfrage nach weiteren Rechten ist ohne Antwort abgelaufen. ${works}`,
    replaced: `Die Anfrage nach weiteren Rechten wurde abgelehnt oder ist abgelaufen. ${works}`,
    unseen: `Niemand hat auf die Anfrage nach weiteren Rechten geantwortet. ${works}`,
    refused: `Das Gateway nimmt keine Anfrage nach weiteren Rechten an. ${works}`,
    ended: `Das Programm verlangt keine weiteren Rechte mehr. ${works}`
  },
  cancelled: "Nichts wartet mehr auf Freigabe.",
  lost: "Diese Seite hat den Kontakt zum Agenten verloren und versucht es weiter. Was sie zeigt, kann veraltet sein.",
  refused:
    "Der Agent nimmt den Schlüssel dieser Seite nicht an. Öffnen Sie die Adresse, die er zuletzt ausgegeben hat.",
  place: "Wo läuft das Gateway?",
  places: {
    host: "Auf einem Host",
    docker: "Docker",
    compose: "Docker Compose",
    kubectl: "Kubernetes",
    ssh: "Über SSH",
    wsl: "WSL",
    powershell: "PowerShell"
  },
  run: "Dort ausführen, wo das Gateway läuft",
  runList: "Ansehen, was auf Freigabe wartet",
  runFirst: "Auflisten, was auf Freigabe wartet",
  command: "Befehl",
  noRequestId:
    "Das Gateway hat keine Anfrage genannt. Listen Sie auf, was wartet, suchen Sie dieses Gerät an seinem Code und geben Sie es mit seiner Anfrage-ID frei.",
  noCommand: "Es gibt keinen Befehl zu zeigen. Geben Sie dieses Gerät mit den Werkzeugen des Gateways frei.",
  fill: (words) => `Ersetzen Sie ${words}, bevor Sie ihn ausführen.`,
  copy: "Kopieren",
  copied: "Kopiert",
  selected: "Der Browser erlaubt das Kopieren nicht. Der Befehl ist markiert: drücken Sie Strg+C oder ⌘C.",
  notCopied: "Der Browser erlaubt das Kopieren nicht. Markieren Sie den Befehl von Hand.",
  compare: "Gerät vergleichen",
  compareHelp: "Geben Sie es nur frei, wenn das Gateway ein Gerät zeigt, dessen ID mit diesen Ziffern beginnt.",
  requested: "Verlangt",
  approved: "Bisher erlaubt",
  none: "nichts",
  added: "neu",
  gateway: "Gateway",
  asked: "Gefragt",
  said: "Meldung",
  responsible: "Zu tun bei",
  owners: {
    you: "dem Betreiber dieses Programms",
    "gateway host": "dem Gateway-Host",
    network: "dem Netz dazwischen",
    "this program": "den Autoren dieses Programms"
  },
  waiting: "Wartet auf Freigabe",
  checking: "Fragt das Gateway …",
  nextCheck: (left) => `Fragt wieder in ${left}`,
  unreachable: (left) => `Gateway nicht erreichbar, nächster Versuch in ${left}`,
  checkNow: "Jetzt prüfen",
  tryAgain: "Erneut versuchen",
  notAsked: "Dem Agenten konnte nicht gesagt werden, dass er prüfen soll.",
  dismiss: "Ausblenden",
  reopen: { pending: "Freigabe nötig", halted: "Nicht verbunden" },
  failures: {
    PairingRequired: {
      "not-paired": {
        problem: "Dieses Gerät ist dem Gateway neu.",
        action: "Geben Sie das Gerät auf dem Gateway-Host frei.",
        next: polls
      },
      "scope-upgrade": {
        problem: "Dieses Gerät verlangt mehr, als ihm erlaubt wurde.",
        action:
          "Vergleichen Sie die verlangten mit den erlaubten Rechten und geben Sie es dann auf dem Gateway-Host frei.",
        next: polls
      },
      "role-upgrade": {
        problem: "Dieses Gerät verlangt eine Rolle, die es nicht hat, zum Beispiel weil sein Token widerrufen wurde.",
        action:
          "Vergewissern Sie sich, dass der Widerruf nicht von Dauer sein sollte, und geben Sie es dann auf dem Gateway-Host frei.",
        next: polls
      },
      "metadata-upgrade": {
        problem: "Etwas an diesem Gerät, etwa seine Plattform, hat sich seit der Freigabe geändert.",
        action: "Vergewissern Sie sich, dass es dasselbe Gerät ist, und geben Sie es dann auf dem Gateway-Host frei.",
        next: polls
      },
      other: {
        problem: "Das Gateway will dieses Gerät freigegeben haben.",
        action: "Listen Sie auf dem Gateway-Host auf, was wartet, und geben Sie dann dieses Gerät frei.",
        next: polls
      }
    },
    ApprovalTimedOut: {
      problem: "Niemand hat dieses Gerät freigegeben, oder seine Anfrage wurde zu oft ersetzt.",
      action:
        "Fragen Sie wieder, wenn jemand es freigeben kann; achten Sie darauf, dass nur ein Programm diese Identität benutzt.",
      next: stays
    },
    AuthRejected: {
      TokenMissing: {
        problem: "Das Gateway verlangt ein Token, und dieses Programm hat keines.",
        action:
          "Setzen Sie OPENCLAW_GATEWAY_TOKEN auf das Token des Gateways; auf dem Gateway-Host zeigt es der Befehl.",
        next: stays
      },
      PasswordMissing: {
        problem: "Das Gateway verlangt ein Passwort, und dieses Programm hat keines.",
        action: "Setzen Sie OPENCLAW_GATEWAY_PASSWORD auf das Passwort des Gateways.",
        next: stays
      },
      BootstrapTokenInvalid: {
        problem:
          "Das Gateway hat den Einrichtungscode abgelehnt: Er ist verbraucht, abgelaufen, widerrufen, der eines anderen"
          + " Gateways, oder er lässt nicht so viel zu.",
        action:
          "Bitten Sie den, der das Gateway betreibt, um einen neuen Einrichtungscode und fügen Sie ihn ein. Für Werkzeuge allein:"
          + " openclaw devices join-code.",
        next: stays
      },
      ScopeMismatch: {
        problem: "Das gespeicherte Geräte-Token deckt nicht, was dieses Programm verlangt.",
        action:
          "Verlangen Sie weniger Rechte, oder setzen Sie OPENCLAW_GATEWAY_TOKEN, damit die weiteren beantragt und freigegeben werden können.",
        next: stays
      },
      other: {
        problem: "Das Gateway hat abgelehnt, womit dieses Programm sich ausweist.",
        action:
          "Setzen Sie OPENCLAW_GATEWAY_TOKEN (oder _PASSWORD) auf den jetzigen Wert des Gateways; auf dem Gateway-Host lässt er sich lesen.",
        next: stays
      }
    }
  }
}
