/**
 * Advice on what `doctor` finds and no error says: weaknesses, and things that a start would pass over.
 */
import type { Entry } from "./Entry.ts"
import { certificateEnd } from "./LinkAdvice.ts"
import * as NextStep from "./NextStep.ts"

const goesOn = "The program works all the same."

export const doctorAdvice = {
  ClockOff: {
    problem: "This machine's clock and the gateway's differ.",
    owner: "you",
    action: "Set the clock that is wrong; both machines should take the time from the network.",
    command: "timedatectl",
    next: "This program signs the gateway's own time, so that it is let in; times in logs and of tasks are wrong."
  },
  ClockStepped: {
    problem: "This machine's clock was set, or the machine slept.",
    owner: "you",
    action: "Nothing, if it slept. Otherwise look for what sets the clock.",
    command: "timedatectl",
    next: goesOn
  },
  CertificateEnding: {
    problem: "The gateway's certificate ends soon.",
    owner: "gateway host",
    action: "Renew it in time; where it is pinned, add the pin of the next one before that.",
    command: certificateEnd,
    next: "The gateway is refused from the day on which it ends, unless its key is pinned."
  },
  SettingSuspicious: {
    problem: "A setting is not known, is set twice, or is not used.",
    owner: "you",
    action: "Correct or remove the setting that the finding names.",
    next: goesOn
  },
  NodejsTooOld: {
    problem: "This release of Node.js is older than this program needs.",
    owner: "you",
    action: "Install a newer one.",
    command: "node --version",
    next: NextStep.nothingStarted
  },
  EphemeralPlace: {
    problem: "The identity is kept where files do not last.",
    owner: "you",
    action: "Choose a durable state directory, in a container a volume: a new identity needs a new approval.",
    command: "openclaw-device run --state-dir <durable directory>",
    next: goesOn
  },
  NotEncrypted: {
    problem: "A passphrase is set, and the private key is not encrypted.",
    owner: "you",
    action: "Encrypt the identity, or unset the passphrase.",
    command: "openclaw-device identity encrypt",
    next: goesOn
  },
  ParentWritable: {
    problem: "Every user may replace the directory of the identity.",
    owner: "you",
    action: "Take the right to write from others in the directory above it that the finding names.",
    command: "chmod o-w <directory>",
    next: goesOn
  },
  OrphanedTasks: {
    problem: "Tasks are open, and no program works on them.",
    owner: "you",
    action: "Start the program, which goes on with them, or end each of them.",
    command: "openclaw-device tasks list",
    next: NextStep.nothingChanged
  },
  JournalDamaged: {
    problem: "The journal of tasks has files that are no entries of it.",
    owner: "you",
    action: "Look at the files that the finding names, and move them away.",
    command: "openclaw-device tasks list",
    next: "The other tasks are worked on; these files are left alone."
  },
  SecondRun: {
    problem: "Two runs use one state directory, and so one identity: each is in the way of the other.",
    owner: "you",
    action: "End one of them, or give it a state directory of its own.",
    command: "openclaw-device status",
    next: "Both go on, and take each other's place where the gateway takes one."
  },
  KilledRun: {
    problem: "A program was killed and left its socket behind.",
    owner: "you",
    action: "Nothing: the next program removes it. To remove it now, run the command.",
    command: "openclaw-device doctor --fix",
    next: NextStep.nothingChanged
  },
  SilentRun: {
    problem: "A program of this state directory runs and does not say how it stands.",
    owner: "this program",
    action: "Look whether the process hangs, and end it if it does.",
    command: "openclaw-device status",
    next: NextStep.nothingChanged
  },
  ReleaseTooOld: {
    problem: "The gateway's release is older than those that this program is tested with.",
    owner: "gateway host",
    action: "Update the gateway.",
    command: "openclaw update",
    next: goesOn
  },
  GatewayNotReady: {
    problem: "The gateway answers, and says that it is not ready for work.",
    owner: "gateway host",
    action: "Nothing, if it starts, restarts or is being suspended. Otherwise look into its log.",
    command: "openclaw gateway status",
    next: NextStep.retries
  },
  ToolsNotPublished: {
    problem: "This device is known for its tools, and the gateway's agent does not have them now.",
    owner: "you",
    action: "See what they wait for.",
    command: "openclaw-device tools",
    next: "Everything but the tools works meanwhile."
  },
  RunNotConnected: {
    problem: "The running program is not connected.",
    owner: "you",
    action: "Press Enter where it runs, or start it again.",
    command: "openclaw-device status",
    next: NextStep.nothingChanged
  }
} satisfies Readonly<Record<string, Entry>>

/** The names of what `doctor` alone finds. */
export type DoctorTrouble = keyof typeof doctorAdvice
