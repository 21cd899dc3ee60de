/** What the package exports, read by the compiler from src/index.ts: names, docstrings, and whether a function throws. */
import { join } from "node:path";
import { type Node, SyntaxKind } from "typescript/unstable/ast";
import * as is from "typescript/unstable/ast/is";
import { API, type Project, SymbolFlags, type Symbol as TypeSymbol } from "typescript/unstable/sync";

const root = join(import.meta.dirname, "../..");

export interface PublicName {
  /** As a user reaches it: `nn.linear`, `Program.run`, `LoadOptions.sampleAxes`. */
  readonly name: string;
  /** File and line, relative to the repository. */
  readonly place: string;
  /** The docstring's text without its tags; empty where there is none. */
  readonly text: string;
  /** The text of each `@throws` tag. */
  readonly throws: readonly string[];
  /** Whether the function, or one of its own file that it calls, has a `throw`. */
  readonly canThrow: boolean;
  /** An optional member of an interface or class whose name ends in `Options`. */
  readonly option: boolean;
}

/** Every exported name of `entry` and every public member of what it exports. */
export function publicNames(entry = "src/index.ts"): readonly PublicName[] {
  const api = new API({ cwd: root });
  try {
    const [project] = api.updateSnapshot({ openProjects: [join(root, "tsconfig.json")] }).getProjects();
    if (!project) throw new Error("the compiler finds no project");
    const file = project.program.getSourceFile(join(root, entry));
    const module = file && project.checker.getSymbolAtLocation(file);
    if (!module) throw new Error(`the compiler does not find ${entry}`);
    const reader = new Reader(project);
    reader.module("", module);
    return reader.names;
  } finally {
    api.close();
  }
}

class Reader {
  readonly names: PublicName[] = [];
  readonly #project: Project;
  readonly #throwers = new Map<Node, ReadonlySet<string>>();

  constructor(project: Project) {
    this.#project = project;
  }

  /** All that a module exports; `prefix` is the namespace that it is reached by. */
  module(prefix: string, module: TypeSymbol): void {
    const { checker } = this.#project;
    for (const exported of checker.getExportsOfModule(module)) {
      const symbol = exported.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      const name = `${prefix}${exported.name}`;
      const declarations = symbol.declarations.map((handle) => handle.resolve(this.#project));
      const nodes = declarations.filter((node) => node !== undefined);
      if (symbol.flags & SymbolFlags.ValueModule) {
        this.module(`${name}.`, symbol);
      } else {
        if (nodes.length === 0) throw new Error(`the compiler shows no declaration of ${name}`);
        this.#declared(name, nodes);
      }
    }
  }

  /** A name with one or several declarations: overloads share a docstring, an interface and a constant may share a name. */
  #declared(name: string, nodes: readonly Node[]): void {
    const documented = nodes.find((node) => docOf(node).text !== "") ?? nodes[0];
    if (documented)
      this.#add(
        name,
        documented,
        nodes.some((node) => this.#canThrow(node)),
        false,
      );
    for (const node of nodes) this.#members(name, node);
  }

  #add(name: string, node: Node, canThrow: boolean, option: boolean): void {
    const file = node.getSourceFile();
    const line = file.text.slice(0, node.getStart()).split("\n").length;
    const place = `${file.fileName.slice(root.length + 1)}:${line}`;
    this.names.push({ name, place, ...docOf(node), canThrow, option });
  }

  /** Members of a class, an interface, an object type at any depth, or a constant's object. */
  #members(owner: string, node: Node): void {
    if (is.isVariableDeclaration(node)) {
      const value = node.initializer && unwrapped(node.initializer);
      if (value && is.isObjectLiteralExpression(value)) this.#group(owner, value.properties);
    } else if (is.isClassDeclaration(node) || is.isInterfaceDeclaration(node)) {
      this.#group(
        owner,
        node.members.filter((member) => !isHidden(member)),
      );
    } else if (is.isTypeAliasDeclaration(node)) {
      this.#insideType(owner, node.type);
    } else if (is.isFunctionDeclaration(node)) {
      for (const { type } of node.parameters) if (type) this.#insideType(`${owner}(options)`, type);
    }
  }

  /** Object types that are written where they are used. */
  #insideType(owner: string, type: Node): void {
    if (is.isTypeLiteralNode(type)) this.#group(owner, type.members);
    else type.forEachChild((child) => this.#insideType(owner, child));
  }

  #group(owner: string, members: readonly Node[]): void {
    const byName = new Map<string, Node[]>();
    for (const member of members) {
      const name = nameOf(member);
      if (name !== undefined) byName.set(name, [...(byName.get(name) ?? []), ...this.#meant(member)]);
    }
    for (const [name, nodes] of byName) {
      const node = nodes.find((each) => docOf(each).text !== "") ?? nodes[0];
      if (!node) continue;
      const option = isOptional(node) && /Options(\W|$)|\(options\)/.test(owner);
      this.#add(
        `${owner}.${name}`,
        node,
        nodes.some((each) => this.#canThrow(each)),
        option,
      );
      for (const each of nodes) {
        if (is.isPropertySignatureDeclaration(each) && each.type) this.#insideType(`${owner}.${name}`, each.type);
      }
    }
  }

  /** What `{ name }` stands for; any other member itself. */
  #meant(member: Node): readonly Node[] {
    if (!is.isShorthandPropertyAssignment(member)) return [member];
    const { checker } = this.#project;
    const local = checker.getShorthandAssignmentValueSymbol(member);
    const symbol = local && local.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(local) : local;
    return symbol?.declarations.flatMap((handle) => handle.resolve(this.#project) ?? []) ?? [member];
  }

  /** Whether a `throw` can be reached without leaving the file, but for what a nested function throws later. */
  #canThrow(node: Node): boolean {
    const file = node.getSourceFile();
    const known = this.#throwers.get(file) ?? throwersOf(file);
    this.#throwers.set(file, known);
    return isFunctionLike(node) && reaches(node, known);
  }
}

/** Names of the functions of a file that throw, by themselves or by a function of the file that they call. */
function throwersOf(file: Node): ReadonlySet<string> {
  const functions = new Map<string, Node>();
  const visit = (node: Node): void => {
    const name = is.isFunctionDeclaration(node) ? nameOf(node) : undefined;
    if (name !== undefined) functions.set(name, node);
    node.forEachChild(visit);
  };
  visit(file);
  const throwing = new Set<string>();
  for (let before = -1; before !== throwing.size; ) {
    before = throwing.size;
    for (const [name, node] of functions) if (reaches(node, throwing)) throwing.add(name);
  }
  return throwing;
}

function reaches(node: Node, throwing: ReadonlySet<string>): boolean {
  // What is caught and thrown again was thrown elsewhere.
  if (is.isThrowStatement(node)) return !is.isIdentifier(node.expression);
  if (is.isCallExpression(node) && is.isIdentifier(node.expression) && throwing.has(node.expression.text)) return true;
  return node.forEachChild((child) => reaches(child, throwing) || undefined) ?? false;
}

const functions: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.FunctionDeclaration,
  SyntaxKind.MethodDeclaration,
  SyntaxKind.GetAccessor,
  SyntaxKind.Constructor,
  SyntaxKind.PropertyAssignment,
]);

function isFunctionLike(node: Node): boolean {
  return functions.has(node.kind);
}

function unwrapped(node: Node): Node {
  return is.isAsExpression(node) || is.isSatisfiesExpression(node) ? unwrapped(node.expression) : node;
}

/** Private, protected, internal, or named with `#`; an override keeps what its class says of it. */
function isHidden(node: Node): boolean {
  const head = node.getSourceFile().text.slice(node.getStart(), node.end);
  return /^(#|(static |readonly |async |get |set )*(private|protected|override) |(static |readonly |async |get |set |\*)*(#|\[))/.test(
    head,
  );
}

function isOptional(node: Node): boolean {
  return is.isPropertySignatureDeclaration(node) && node.postfixToken?.kind === SyntaxKind.QuestionToken;
}

function nameOf(node: Node): string | undefined {
  const named = node as { readonly name?: { readonly text?: string } };
  return named.name?.text;
}

/** The text of a declaration's last docstring, and its `@throws` tags. */
function docOf(node: Node): { text: string; throws: readonly string[] } {
  const holder = is.isVariableDeclaration(node) ? node.parent.parent : node;
  const source = holder.getSourceFile().text;
  const comments = [...source.slice(holder.pos, holder.getStart()).matchAll(/\/\*\*(.*?)\*\//gs)];
  const lines = (comments.at(-1)?.[1] ?? "").split("\n").map((line) => line.replace(/^\s*\* ?/, "").trim());
  const [text = "", ...tags] = lines.join("\n").trim().split(/^@/m);
  const throws = tags.flatMap((tag) => (tag.startsWith("throws ") ? [tag.slice("throws ".length).trim()] : []));
  return { text: text.trim(), throws };
}
