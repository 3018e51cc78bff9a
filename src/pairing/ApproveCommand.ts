/**
 * The commands that list and approve what waits on a gateway, for the place where that gateway lives.
 *
 * Every command is built as arguments first; its text is those arguments, quoted for one shell. Nothing from the wire comes
 * into a command but a `RequestId`, and no command holds a credential. `openclaw devices approve --latest` only previews on
 * recent releases and approves blindly on older ones, so it is never built: without an id one lists first.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Endpoint from "../link/Endpoint.ts"
import type { RequestId } from "../protocol/Connect.ts"
import type { PlaceCommands } from "../protocol/PairingNotice.ts"
import type { ShellCommand } from "../protocol/ShellCommand.ts"
import { isPlain, placeholder, posixCommand, powerShellCommand, quotePosix } from "../protocol/ShellCommand.ts"

/** What a person needs in order to approve. */
export interface Commands {
  /** Shows what waits for approval, with its request ids. */
  readonly list: ShellCommand
  readonly approve: (requestId: RequestId) => ShellCommand
  /** The same for each place where the gateway may live; absent where the place is known. */
  readonly places?: ((requestId: RequestId | undefined) => ReadonlyArray<PlaceCommands>) | undefined
  /** One sentence on what the commands need besides, for example a credential. */
  readonly note?: string | undefined
  /** The same for the tools of a device, which a person approves besides the device; those of the device where absent. */
  readonly surface?: Omit<Commands, "surface"> | undefined
}

/** The command that approves a request, or lists the requests where it has no id. */
export const commandFor = (
  { approve, list }: Pick<Commands, "approve" | "list">,
  requestId: RequestId | undefined
): ShellCommand => requestId === undefined ? list : approve(requestId)

const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u
const setting = (pattern: RegExp, message: string) => Schema.String.check(Schema.isPattern(pattern, { message }))

const credential = /--(?:token|password)\b|(?:token|password)\s*=/i
const noCredential = "must not hold a credential, as the command is shown; export it in the shell instead"

/** One argument of the operator's own choice. */
const Word = Schema.String.check(
  Schema.makeFilter((value) =>
    value !== "" && value === value.trim() && !hidden.test(value)
      ? undefined
      : "must not be empty, hold control characters, or begin or end with white space"
  )
)
const Program = Schema.NonEmptyArray(Word).check(
  Schema.makeFilter((words) => {
    if (words[0].startsWith("-")) return "must not begin with an option"
    return words.some((word) => credential.test(word)) ? noCredential : undefined
  })
)
const program = {
  /** How the OpenClaw CLI is called at that place. Default `openclaw`; in some images `node dist/index.js`. */
  program: Schema.optionalKey(Program)
}
const url = {
  /** A gateway URL for `--url`, where the CLI there is not configured for this gateway. */
  url: Schema.optionalKey(Schema.String.check(
    Schema.makeFilter((value) => {
      const endpoint = Endpoint.parse(value)
      return Result.isSuccess(endpoint) && endpoint.success.url.search === "" && !hidden.test(value)
        ? undefined
        : "must be a ws:// or wss:// URL without credentials, query and control characters"
    })
  ))
}
const plainName = setting(
  /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/,
  "must be letters, digits, '_', '.' and '-', beginning with a letter or digit"
)
const label = setting(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, "must be lower-case letters, digits and '-'")

/** Where the gateway lives, as seen from the person who approves. */
export const Place = Schema.Union([
  /** A POSIX shell on the gateway host. */
  Schema.TaggedStruct("host", { ...program, ...url }),
  /** PowerShell on the gateway host. */
  Schema.TaggedStruct("powershell", { ...program, ...url }),
  Schema.TaggedStruct("docker", { ...program, container: plainName }),
  /** Service defaults to `openclaw-gateway`, as in OpenClaw's own compose file. */
  Schema.TaggedStruct("compose", {
    ...program,
    service: Schema.optionalKey(plainName),
    project: Schema.optionalKey(plainName)
  }),
  Schema.TaggedStruct("kubectl", {
    ...program,
    /** A pod, or a kind and name such as `deploy/openclaw`. */
    pod: setting(
      /^(?:[a-z]{2,20}\/)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/,
      "must be a pod name, or a kind and name like deploy/openclaw"
    ),
    namespace: Schema.optionalKey(label),
    container: Schema.optionalKey(label),
    context: Schema.optionalKey(
      setting(/^[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,252}$/, "must be letters, digits and '_.:/@-'")
    )
  }),
  Schema.TaggedStruct("ssh", {
    ...program,
    host: setting(/^[A-Za-z0-9:][A-Za-z0-9_.:-]{0,252}$/, "must be a host name, an address or an ssh alias"),
    user: Schema.optionalKey(setting(/^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/, "must be a user name")),
    port: Schema.optionalKey(
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 }, { message: "must be a port, 1 to 65535" }))
    )
  }),
  /** OpenClaw inside a WSL distribution, approved from PowerShell on Windows. */
  Schema.TaggedStruct("wsl", { ...program, distribution: Schema.optionalKey(plainName) }),
  /** The operator's own command line, set once, with `{command}` where the OpenClaw command belongs. */
  Schema.TaggedStruct("template", {
    program: Schema.optionalKey(
      Program.check(
        Schema.makeFilter((words) =>
          words.every(isPlain) ? undefined : "must need no quoting, as the template may hold quotes"
        )
      )
    ),
    template: Schema.String.check(Schema.makeFilter((text) => {
      if (text.length > 1000 || hidden.test(text)) return "must be one line of at most 1000 characters"
      if (text.split("{command}").length !== 2) return "must hold {command} once"
      if (/--latest\b/i.test(text)) return "must not hold --latest, which is no approval of this device"
      return credential.test(text) ? noCredential : undefined
    })),
    shell: Schema.Literals(["posix", "powershell"])
  })
])
export type Place = typeof Place.Type

/** The settings that say where the gateway lives cannot be turned into commands. */
export class PlaceInvalid extends Schema.TaggedError<PlaceInvalid>()("PlaceInvalid", {
  /** One for each setting that cannot be used, without its value. */
  problems: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `the place of the gateway is not usable: ${this.problems.join("; ")}`
  }
}

/**
 * The commands that notices carry. A host program that can approve by itself supplies its own; otherwise they are those of
 * OpenClaw's CLI.
 */
export class ApproveCommands extends Context.Service<ApproveCommands, Commands>()(
  "effect-openclaw/pairing/ApproveCommand"
) {
  static readonly layer = (place: Place): Layer.Layer<ApproveCommands, PlaceInvalid> =>
    Layer.effect(ApproveCommands, Effect.fromResult(commandsFor(place)))
  /** The commands of the gateway host, and of every other place where the gateway may live. */
  static readonly layerAnywhere: Layer.Layer<ApproveCommands> = Layer.sync(ApproveCommands, () => commandsAnywhere())
  static readonly layerOf = (commands: Commands): Layer.Layer<ApproveCommands> =>
    Layer.succeed(ApproveCommands, commands)
}

const decodePlace = Schema.decodeUnknownResult(Place, { errors: "all" })
const problemsOf = SchemaIssue.makeFormatterStandardSchemaV1()

/** The commands of OpenClaw's own CLI at a place. Pure; every setting is checked, so that none can act as an option. */
export const commandsFor = (place: Place): Result.Result<Commands, PlaceInvalid> =>
  Result.map(parsePlace(place), openClawCommands)

/** A place of unknown origin, checked. Pure. */
export const parsePlace = (place: unknown): Result.Result<Place, PlaceInvalid> =>
  decodePlace(place).pipe(
    Result.mapError(({ issue }) =>
      new PlaceInvalid({
        problems: problemsOf(issue).issues.map(({ path, message }) =>
          `${(path ?? []).map(String).join(".")} ${message}`
        )
      })
    )
  )

const openClawCommands = (place: Place): Commands => ({
  ...commandsOf(place, ["devices", "list"], ["devices", "approve"]),
  surface: commandsOf(place, ["nodes", "pending"], ["nodes", "approve"])
})

const commandsOf = (
  place: Place,
  list: ReadonlyArray<string>,
  approve: ReadonlyArray<string>
): Omit<Commands, "surface"> => {
  const words = place.program ?? ["openclaw"]
  const gateway = "url" in place && place.url !== undefined ? ["--url", place.url] : []
  const command = (...verb: ReadonlyArray<string>) => atPlace(place, [...words, ...verb, ...gateway])
  return {
    list: command(...list),
    approve: (requestId) => command(...approve, requestId),
    ...(gateway.length === 0 ? {} : { note: credentialNote })
  }
}

/** Every place, for when it is not known which. Their names are placeholders. */
const unnamed: ReadonlyArray<Place & { readonly _tag: PlaceCommands["place"] }> = [
  { _tag: "host" },
  { _tag: "docker", container: placeholder("container") },
  { _tag: "compose" },
  { _tag: "kubectl", pod: placeholder("pod") },
  { _tag: "ssh", host: placeholder("host") },
  { _tag: "wsl" },
  { _tag: "powershell" }
]

/** The commands where the place of the gateway is not known: those of its host, and all others to choose from. */
export const commandsAnywhere = (): Commands => {
  const { surface, ...device } = openClawCommands({ _tag: "host" })
  return {
    ...device,
    places: placesOf(openClawCommands),
    surface: surface && { ...surface, places: placesOf((place) => openClawCommands(place).surface ?? surface) }
  }
}

const placesOf =
  (commands: (place: Place) => Omit<Commands, "surface">): NonNullable<Commands["places"]> => (requestId) =>
    unnamed.map((place) => {
      const { approve, list } = commands(place)
      return {
        place: place._tag,
        fill: list.argv.filter((word) => /^<[a-z]+>$/.test(word)),
        list,
        ...(requestId === undefined ? {} : { approve: approve(requestId) })
      }
    })

/** OpenClaw's CLI reads no stored credential once `--url` is given (OpenClaw docs, cli/devices). */
const credentialNote =
  "With --url the OpenClaw CLI uses no stored credential: add your own --token or --password when you run the command."

const atPlace = (place: Place, inner: ReadonlyArray<string>): ShellCommand => {
  switch (place._tag) {
    case "host":
      return posixCommand(inner)
    case "powershell":
      return powerShellCommand(inner)
    case "docker":
      return posixCommand(["docker", "exec", place.container, ...inner])
    case "compose":
      return posixCommand([
        "docker",
        "compose",
        ...option("--project-name", place.project),
        "exec",
        place.service ?? "openclaw-gateway",
        ...inner
      ])
    case "kubectl":
      return posixCommand([
        "kubectl",
        ...option("--context", place.context),
        ...option("--namespace", place.namespace),
        "exec",
        place.pod,
        ...option("--container", place.container),
        "--",
        ...inner
      ])
    case "ssh":
      // The remote shell reads one line, so what it gets is quoted once for it, and once more for the shell here.
      return posixCommand([
        "ssh",
        ...option("-p", place.port?.toString()),
        ...option("-l", place.user),
        place.host,
        quotePosix(inner)
      ])
    case "wsl":
      // A login shell, as user installations of Node are found through its profile; --exec, as one shell is enough.
      return powerShellCommand([
        "wsl.exe",
        ...option("--distribution", place.distribution),
        "--exec",
        "bash",
        "-lc",
        quotePosix(inner)
      ])
    case "template":
      return fromTemplate(place, inner)
  }
}

const option = (name: string, value: string | undefined): ReadonlyArray<string> =>
  value === undefined ? [] : [name, value]

const fromTemplate = (
  { shell, template }: Extract<Place, { readonly _tag: "template" }>,
  inner: ReadonlyArray<string>
): ShellCommand => {
  // Every word is plain in both shells, by the checks on the program and on request ids.
  const text = template.replace("{command}", () => inner.join(" "))
  return { argv: shell === "posix" ? ["sh", "-c", text] : ["powershell.exe", "-NoProfile", "-Command", text], text }
}
