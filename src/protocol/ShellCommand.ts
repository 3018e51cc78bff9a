/**
 * Commands that a person is shown. Each is built as arguments; its text is those arguments, quoted for one shell, so that no
 * value in it can act as anything else. Every command in this program that carries a value is built here.
 */
import * as Schema from "effect/Schema"

/** A command as arguments, for programs, and as text for one shell, for people. */
export const ShellCommand = Schema.Struct({
  argv: Schema.Array(Schema.String),
  text: Schema.String
})
export type ShellCommand = typeof ShellCommand.Type

/** A command with its text for `sh`, `bash`, `dash` and `zsh`. */
export const posixCommand = (argv: ReadonlyArray<string>): ShellCommand => ({ argv, text: quotePosix(argv) })

/** A command with its text for PowerShell. */
export const powerShellCommand = (argv: ReadonlyArray<string>): ShellCommand => ({ argv, text: quotePowerShell(argv) })

/** A command for the shell that people use on a platform, which is named as in Node.js's `process.platform`. */
export const commandOn = (platform: string, argv: ReadonlyArray<string>): ShellCommand =>
  platform === "win32" ? powerShellCommand(argv) : posixCommand(argv)

/** A word that a person replaces before the command is run. It is quoted, so that a command that was not completed fails. */
export const placeholder = (what: string): string => `<${what}>`

/** A variable with its value, as a POSIX shell and a file of variables read it. Nothing is expanded in it. */
export const posixAssignment = (name: string, value: string): string =>
  `${name}=${/^[A-Za-z0-9_./:+[\]-]*$/.test(value) ? value : quotePosixWord(value)}`

/** What every shell here takes for itself, wherever it stands: no glob, variable, assignment, job or home directory. */
const plain = /^[A-Za-z0-9_./:+-]+$/

/** Whether every shell here reads the word as it is, so that it needs no quotes where it is no command. */
export const isPlain = (word: string): boolean => plain.test(word)

/** Words that a POSIX shell takes for its grammar where a command begins. */
const reserved = new Set(
  ("case coproc do done elif else end esac fi for foreach function if in nocorrect noglob repeat select then time until"
    + " while").split(" ")
)

const quotePosixWord = (word: string): string => isPlain(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`

/**
 * A command line for a POSIX shell that runs exactly these arguments. Single quotes keep everything literal, line ends and
 * `!` too; a single quote itself is put between double ones. A NUL cannot be an argument.
 */
export const quotePosix = (argv: ReadonlyArray<string>): string =>
  argv.map((word, index) => index === 0 && reserved.has(word) ? `'${word}'` : quotePosixWord(word)).join(" ")

/** What PowerShell takes for a plain argument: no number, as `10kb` would be one, and no operator. */
const plainPowerShell = /^(?:--?)?[A-Za-z][A-Za-z0-9_/-]*$|^[A-Za-z][A-Za-z0-9_-]*\.exe$|^--$/
/** What it takes for the name of a command. A keyword would be read as one, so it is quoted. */
const plainPowerShellCommand = /^[A-Za-z][A-Za-z0-9_-]*(?:\.exe)?$/
const reservedPowerShell =
  /^(?:assembly|base|begin|break|catch|class|clean|command|configuration|continue|data|define|do|dynamicparam|else|elseif|end|enum|exit|filter|finally|for|foreach|from|function|hidden|if|in|inlinescript|interface|module|namespace|parallel|param|private|process|public|return|sequence|static|switch|throw|trap|try|type|until|using|var|while|workflow)$/i

/**
 * A command line for PowerShell that runs exactly these arguments. In single quotes only the quote itself is special: it is
 * doubled, as are the four curly ones that PowerShell takes for it. A quoted command needs the call operator `&`. Windows
 * PowerShell 5.1 drops empty arguments and inner double quotes on the way to a program; PowerShell 7.3 keeps them.
 */
export const quotePowerShell = (argv: ReadonlyArray<string>): string =>
  argv.map((word, index) => {
    const quoted = `'${word.replace(/['\u2018\u2019\u201a\u201b]/g, "$&$&")}'`
    if (index > 0) return plainPowerShell.test(word) ? word : quoted
    return plainPowerShellCommand.test(word) && !reservedPowerShell.test(word) ? word : `& ${quoted}`
  }).join(" ")
