/**
 * The reference of every module that `package.json` exports, from the docstrings of its source. It fails on a broken link and on
 * a public name without a docstring.
 */
import { globSync, readFileSync } from "node:fs"
import { Converter, ReflectionKind } from "typedoc"
import ts from "typescript"

const root = new URL("../../", import.meta.url).pathname
const { exports } = JSON.parse(readFileSync(`${root}package.json`, "utf8"))

const sourcesOf = (pattern) => globSync(`src/${pattern.replace("*", "**/*")}.ts`, { cwd: root })
const patterns = Object.values(exports).flatMap((target) =>
  /^\.\/dist\/(.*)\.d\.ts$/.exec(target?.types ?? "")?.slice(1) ?? []
)
const hidden = Object.keys(exports).flatMap((name) => exports[name] === null ? sourcesOf(name.slice(2)) : [])
const named = new Set(patterns.filter((pattern) => !pattern.includes("*")).flatMap(sourcesOf))
const found = patterns.filter((pattern) => pattern.includes("*")).flatMap(sourcesOf)
const modules = [...named, ...found.filter((file) => !named.has(file) && !hidden.includes(file))]

// The comment before the imports, or before the re-exports, is about the module; typedoc wants a tag for that.
const { readFile } = ts.sys
ts.sys.readFile = (path, encoding) =>
  readFile(path, encoding)?.replace(
    /^\/\*\*(?:(?!\*\/)[^])*(?=\*\/\s*(?:import|export (?:type )?[*{]))/,
    "$&\n * @module\n "
  )

const listed = ReflectionKind.Module | ReflectionKind.Class | ReflectionKind.Interface | ReflectionKind.Function
  | ReflectionKind.Variable | ReflectionKind.TypeAlias

const requireDocs = (app) =>
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    const isBare = (reflection) => !reflection.hasComment() && !reflection.signatures?.some((it) => it.hasComment())
    const bare = project.getReflectionsByKind(listed).filter(isBare)
    const byModule = Object.groupBy(bare, (reflection) => reflection.parent?.getFullName() ?? "")
    for (const [module, all] of Object.entries(byModule)) {
      app.logger.error(`${module} has no docstring for ${[...new Set(all.map(({ name }) => name))].join(", ")}`)
    }
  })

/**
 * A class of Effect extends the result of a call. The members of a service stand in a type argument of that, and belong on its page;
 * the constructor, and the text of the call as the place that members come from, do not.
 */
const showEffectClasses = (app) => {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const service of project.getReflectionsByKind(ReflectionKind.Class)) {
      const shape = service.extendedTypes?.[0]?.typeArguments?.[1]
      if (shape?.type !== "reflection") continue
      for (const member of shape.declaration.children ?? []) {
        member.parent = service
        service.addChild(member)
      }
      delete service.extendedTypes
    }
    for (const made of project.getReflectionsByKind(ReflectionKind.Constructor)) project.removeReflection(made)
  })
  app.converter.on(Converter.EVENT_RESOLVE_END, ({ project }) => {
    for (const reflection of Object.values(project.reflections)) {
      delete reflection.inheritedFrom
      delete reflection.overwrites
    }
  })
}

/** @type {Partial<import("typedoc").TypeDocOptions>} */
export default {
  name: "effect-openclaw",
  entryPoints: modules.map((file) => root + file),
  tsconfig: `${root}test/docs/tsconfig.json`,
  out: `${root}docs`,
  readme: `${root}README.md`,
  router: "structure",
  useFirstParagraphOfCommentAsSummary: true,
  excludeExternals: true,
  excludePrivate: true,
  disableSources: true,
  validation: { invalidLink: true, invalidPath: false, notExported: false },
  treatValidationWarningsAsErrors: true,
  plugin: [showEffectClasses, requireDocs]
}
