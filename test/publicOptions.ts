/** Asks the compiler for all options that the public functions take: those of interfaces, of other types and those written in place. */
import { join } from "node:path"
import {
  API,
  type Checker,
  SignatureKind,
  type Symbol,
  SymbolFlags,
  type Type,
  TypeFlags,
  type TypeReference,
  type UnionType
} from "typescript/unstable/sync"

/** One option. */
export interface PublicOption {
  /** The function that takes it, and the parameter if that is not called `options`: `Supervisor.submit`, `Supervisor.list(filter)`. */
  readonly of: string
  /** `timeout`, and `limits.maxBytes` of options inside of options. */
  readonly name: string
  /** Which values its type has. */
  readonly has: ReadonlySet<Has>
}

/** What a type has among its values. A function, a list and a text of the type's own are no reason to take any other. */
export type Has = "numbers" | "texts" | "true" | "functions" | "lists" | "objects" | "all"

const root = join(import.meta.dirname, "..")
const source = `${root}/src/`
const folders = ["core", "supervisor", "policy", "provider", "model", "durable", "promise", "cli", "testing"]

/** All options of all functions, and of all methods of what the functions give, that an index of `src/` exports. */
export const read = (): ReadonlyArray<PublicOption> => {
  const api = new API({ cwd: root })
  try {
    const [project] = api.updateSnapshot({ openProjects: [join(root, "tsconfig.build.json")] }).getProjects()
    if (project === undefined) throw new Error("there is no project to read")
    const { checker, program } = project
    return folders.flatMap((folder) => {
      const file = program.getSourceFile(join(root, `src/${folder}/index.ts`))
      const index = file && checker.getSymbolAtLocation(file)
      if (index === undefined) throw new Error(`src/${folder} has no index`)
      return checker.getExportsOfModule(index).flatMap((exported) => {
        const module = target(checker, exported)
        // Where an index does not export namespaces, what it exports is used by its own name.
        return module.flags & SymbolFlags.ValueModule
          ? checker
              .getExportsOfModule(module)
              .flatMap((each) => merged(ofExport(checker, `${exported.name}.${each.name}`, target(checker, each))))
          : merged(ofExport(checker, exported.name, module))
      })
    })
  } finally {
    api.close()
  }
}

/** Of what has several signatures, each option once. */
const merged = (options: ReadonlyArray<PublicOption>): ReadonlyArray<PublicOption> =>
  Array.from(
    Map.groupBy(options, ({ name, of }) => `${of} ${name}`).values(),
    ([first, ...rest]): ReadonlyArray<PublicOption> =>
      first === undefined ? [] : [{ ...first, has: new Set([first, ...rest].flatMap(({ has }) => Array.from(has))) }]
  ).flat()

const target = (checker: Checker, symbol: Symbol): Symbol =>
  symbol.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol

const ofExport = (checker: Checker, name: string, symbol: Symbol): ReadonlyArray<PublicOption> => {
  const found: Array<PublicOption> = []
  if (symbol.flags & SymbolFlags.Value) {
    const type = checker.getTypeOfSymbol(symbol)
    found.push(...ofFunction(checker, name, type))
    // An object of functions: `Client.make`.
    for (const member of type === undefined ? [] : checker.getPropertiesOfType(type).filter(isOurs)) {
      found.push(...ofFunction(checker, `${name}.${member.name}`, checker.getTypeOfSymbol(member)))
    }
  }
  if (symbol.flags & SymbolFlags.Interface && isOurs(symbol)) {
    for (const member of checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol))) {
      found.push(...ofFunction(checker, `${name}.${member.name}`, checker.getTypeOfSymbol(member)))
    }
  }
  return found
}

const ofFunction = (checker: Checker, name: string, type: Type | undefined): ReadonlyArray<PublicOption> =>
  type === undefined
    ? []
    : checker.getSignaturesOfType(type, SignatureKind.Call).flatMap((signature) =>
        signature.getParameters().flatMap((parameter) => {
          const given = checker.getTypeOfSymbol(parameter)
          if (given === undefined) return []
          // What is made with `Effect.fn` has its parameters in a tuple.
          const types = checker.isTupleType(given) ? checker.getTypeArguments(given as TypeReference) : [given]
          return types
            .flatMap(membersOf)
            .filter((member) => isOptions(checker, parameter, member))
            .flatMap((member) => ofOptions(checker, name + inBrackets(parameter), "", member))
        })
      )

const inBrackets = ({ name }: Symbol): string => (isNamedOptions.test(name) ? "" : `(${name})`)

// A pattern has no name, and what is made with `Effect.fn` calls its parameters `args`.
const isNamedOptions = /^(options|args|__\d)$/

/** Options have a field that may be left out, or say by their name what they are. */
const isOptions = (checker: Checker, parameter: Symbol, type: Type): boolean => {
  if (!(type.flags & (TypeFlags.Object | TypeFlags.Intersection))) return false
  if (checker.getSignaturesOfType(type, SignatureKind.Call).length > 0) return false
  const fields = checker.getPropertiesOfType(type)
  if (fields.length === 0 || !fields.every(isOurs)) return false
  return isNamedOptions.test(parameter.name) || fields.some(isOptional)
}

const isOptional = ({ flags }: Symbol): boolean => (flags & SymbolFlags.Optional) !== 0

const isOurs = (symbol: Symbol): boolean =>
  symbol.declarations.length > 0 && symbol.declarations.every(({ path }) => path.startsWith(source))

const ofOptions = (checker: Checker, of: string, path: string, type: Type): ReadonlyArray<PublicOption> =>
  checker.getPropertiesOfType(type).flatMap((field) => {
    const given = checker.getTypeOfSymbol(field)
    if (given === undefined) return []
    const name = path + field.name
    const members = membersOf(given)
    const inner = members
      .filter((member) => isWithin(checker, member))
      .flatMap((member) => ofOptions(checker, of, `${name}.`, member))
    return [{ of, name, has: new Set(members.flatMap((member) => has(checker, member))) }, ...inner]
  })

/** Options inside of options: what is ours, and neither a provider nor anything else that does something. */
const isWithin = (checker: Checker, type: Type): boolean => {
  if (!(type.flags & (TypeFlags.Object | TypeFlags.Intersection))) return false
  // A policy, which has a mark.
  if (checker.getSignaturesOfType(type, SignatureKind.Call).length > 0) return false
  const fields = checker.getPropertiesOfType(type)
  return fields.length > 0 && fields.every(isOurs) && fields.some(isOptional) && !fields.some(isMethod)
}

const isMethod = ({ name }: Symbol): boolean => name === "generateText"

const membersOf = (type: Type): ReadonlyArray<Type> =>
  type.flags & TypeFlags.Union ? (type as UnionType).getTypes() : [type]

const has = (checker: Checker, type: Type): ReadonlyArray<Has> => {
  if (type.flags & (TypeFlags.Any | TypeFlags.Unknown | TypeFlags.TypeParameter)) return ["all"]
  if (type.flags & TypeFlags.Number) return ["numbers"]
  if (type.flags & TypeFlags.String) return ["texts"]
  if (type.flags & TypeFlags.BooleanLiteral) return ["true"]
  if (!(type.flags & (TypeFlags.Object | TypeFlags.Intersection))) return []
  if (checker.getSignaturesOfType(type, SignatureKind.Call).length > 0) return ["functions"]
  return checker.isArrayLikeType(type) ? ["lists"] : ["objects"]
}
