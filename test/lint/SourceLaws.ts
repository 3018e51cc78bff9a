/** The project's lint rule for `src`, which `.oxlintrc.json` loads. Files are named from `src`. */
import { dirname, relative, resolve } from "node:path"
import type { RuleTester } from "oxlint/plugins-dev"

/** The rooms of `src`, lowest first. A room imports from itself and from the rows above it here, not from its own row. */
const rooms = [
  ["protocol", "broadcast"],
  ["storage"],
  ["settings"],
  ["identity", "link"],
  ["handshake"],
  ["connection"],
  ["pairing", "tasks", "toolhost"],
  ["advice"],
  ["agent"],
  ["status"],
  ["recorder", "dialog", "devgateway", "doctor", "fleet"],
  ["testing", "cli", "index.ts"]
]

const browser = /^dialog\/app\//
/** What runs before Effect is loaded, and builds of what is installed. */
const launch = /^cli\/launch\//
const plain = /^(dialog\/app|cli\/launch)\//

/** Rooms that import less than all rooms below them: the importer, and what it may import. */
const narrowed: ReadonlyArray<readonly [importer: RegExp, imported: RegExp, why: string]> = [
  [/^devgateway\//, /^protocol\/Frame\.ts$/, "it builds proofs by itself, so that it hides no mistake of the client"],
  [browser, /^protocol\//, "a browser loads it"],
  [/^testing\//, /^(?!dialog\/)/, "it starts no server"],
  [/^link\//, /^(?!storage\/)/, "it keeps nothing"]
]

/** What only a few files import: the imported file or package, and its importers. */
const reserved: ReadonlyArray<readonly [imported: RegExp, importers: RegExp, why: string]> = [
  [/^\.\.\/|^effect-openclaw\b/, /^$/, "src imports itself by relative path, and nothing beside it"],
  [/^fleet\//, /^fleet\/|^cli\/Fleet/, "a host imports it by its own subpath"],
  [/^@effect\/sql-pg\//, /^fleet\//, "it is an optional peer dependency"],
  [/^ws$/, /^link\/TransportWs\.ts$|^devgateway\//, "ask for Transport"],
  [/^@effect\/platform-node\//, /^(cli|devgateway|dialog|fleet|status)\//, "only these know the platform"],
  [/^effect\/cli\//, /^cli\//, "only commands know the command line"],
  [/^effect\/testing\/(?!TestClock$)/, /^testing\//, "it is for tests"],
  [/^effect\/testing\/TestClock$/, /^(testing|recorder)\//, "it is for tests and replays"],
  [/^@noble\//, /^identity\//, "ask for Signer"],
  [
    /^node:crypto$/,
    /^((identity|devgateway|cli)\/|link\/(LinkSocket|GatewayProbe)|handshake\/GatewayEnvironment|fleet\/NodejsAead)/,
    "ask for Signer"
  ],
  [/^node:(https?|net|tls)$/, /^(link|cli|devgateway|dialog)\//, "ask for Transport"],
  [/^node:fs(\/promises)?$/, /^dialog\/app\/Build\.ts$|^cli\/launch\//, "F08: ask for FileSystem"],
  [
    /^node:(?!(crypto|https?|net|tls|fs(\/promises)?)$)/,
    /^((cli|devgateway|dialog)\/|fleet\/Nodejs(Sqlite|Lookup))/,
    "ask for Path, Stdio, Config"
  ]
]

/** What no file does: the law, the nodes that break it, and the files that may. */
const laws: ReadonlyArray<readonly [law: string, nodes: string, except?: RegExp]> = [
  ["no async function", ":function[async=true], AwaitExpression, ForOfStatement[await=true]", plain],
  ["no Promise", "Identifier[name='Promise']", plain],
  ["no timer but Clock", "Identifier[name=/^set(Timeout|Interval|Immediate)$/]", /^link\/TransportWs|^dialog\/app\//],
  ["no clock but Clock", "MemberExpression[object.name='Date'][property.name='now']", browser],
  ["no clock but Clock", "NewExpression[callee.name='Date'][arguments.length=0], CallExpression[callee.name='Date']"],
  ["no clock but Clock", "Identifier[name=/^(performance|hrtime)$/]"],
  ["no chance but Random", "MemberExpression[object.name='Math'][property.name='random']", browser],
  ["no environment but Config", "MemberExpression:matches([property.name='env'], [property.value='env'])", launch],
  ["no environment but Config", "ImportSpecifier[imported.name='env']"],
  [
    "F08: no synchronous file or process call",
    "Identifier[name=/^(?!encode|decode|replace|generateKeyPair).+Sync$/]",
    /^cli\/launch\/|^fleet\/NodejsSqlite/
  ],
  ["F01: no detached fiber", "Identifier[name='forkDetach']"],
  ["no assertion over unknown", "TSAsExpression > TSAsExpression > TSUnknownKeyword"],
  ["no assertion to never", "TSAsExpression > TSNeverKeyword"],
  ["only an index re-exports", "ExportAllDeclaration, ExportNamedDeclaration[declaration=null]", /^(testing\/)?index/],
  ["an import names its module", "ImportExpression[source.type!='Literal']", /^cli\/ToolModule/],
  ["dialog/app imports types", "ImportDeclaration[importKind='value'][source.value=/protocol/]", /^(?!dialog\/app\/)/],
  ["G13: LinkSocket judges certificates", "Property[key.name='rejectUnauthorized'][value.value!=true]", /^link\/LinkS/],
  ["G13: LinkSocket judges certificates", "Identifier[name='checkServerIdentity']", /^link\/LinkS/],
  ["F38: no command has --latest", "Literal[value=/^--latest|approve.*--latest/]"],
  ["F38: no command has --latest", "TemplateElement[value.raw=/^ ?--latest|approve.*--latest/]"]
]

const source = resolve(import.meta.dirname, "../../src")
const fromSource = (path: string) => relative(source, path).replaceAll("\\", "/")
const roomOf = (file: string) => file.split("/")[0] ?? file
const heightOf = (file: string) => rooms.findIndex((row) => row.includes(roomOf(file)))

/** Why `importer` may not import `imported`, a file or a package; undefined if it may. */
const objection = (importer: string, imported: string, isFile: boolean): string | undefined => {
  const guard = reserved.find(([names, importers]) => names.test(imported) && !importers.test(importer))
  const isOwn = browser.test(importer) ? browser.test(imported) : roomOf(imported) === roomOf(importer)
  if (guard !== undefined || !isFile || isOwn) return guard?.[2]
  if (heightOf(imported) >= heightOf(importer)) return `${roomOf(importer)} does not stand above it`
  return narrowed.find(([importers, names]) => importers.test(importer) && !names.test(imported))?.[2]
}

const rule: Parameters<RuleTester["run"]>[1] = {
  create: ({ filename, report, sourceCode }) => {
    const file = fromSource(filename)
    const kept = laws.filter(([, , except]) => except?.test(file) !== true)
    return {
      ...Object.fromEntries(
        kept.map(([message, nodes]) => [nodes, (node: { range: [number, number] }) => report({ node, message })])
      ),
      Program: () =>
        heightOf(file) < 0
        && report({ loc: { line: 1, column: 0 }, message: `no room ${roomOf(file)} is in the list` }),
      ":matches(ImportDeclaration, ImportExpression, TSImportType, ExportAllDeclaration, ExportNamedDeclaration) > .source":
        (node) => {
          const named = sourceCode.getText(node).slice(1, -1)
          const isFile = named.startsWith(".")
          const imported = isFile ? fromSource(resolve(dirname(filename), named)) : named
          const why = objection(file, imported, isFile)
          if (why !== undefined) report({ node, message: `${file} may not import ${imported}: ${why}` })
        }
    }
  }
}

export default { meta: { name: "source" }, rules: { laws: rule } }
