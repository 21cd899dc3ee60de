/** What the package exports, by its sources, and the docstrings that are missing there. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Ast, isAst, parse } from "./syntax.js";

interface Source {
  readonly file: string;
  readonly code: string;
  readonly program: Ast;
}

/** A name that users see, and where it is declared. */
interface Declared {
  readonly name: string;
  readonly source: Source;
  /** The statement, from `export` on. */
  readonly statement: Ast;
  readonly declaration: Ast;
}

const childAt = (node: Ast | undefined, key: string): Ast | undefined => {
  const value = node?.[key];
  return isAst(value) ? value : undefined;
};
const childrenAt = (node: Ast | undefined, key: string): Ast[] => {
  const value = node?.[key];
  return Array.isArray(value) ? value.filter(isAst) : [];
};
const textAt = (node: Ast | undefined, key: string): string => String(node?.[key] ?? "");

/** Reads sources, each once. */
export class PublicInterface {
  readonly #sources = new Map<string, Source>();

  /** The docstrings that are missing: "NAME" or "NAME.MEMBER", with the file. */
  undocumented(entry: string): string[] {
    return this.#exported(entry, "").flatMap((each) => this.#missingIn(each));
  }

  #missingIn({ name, source, statement, declaration }: Declared): string[] {
    const own = isOverload(source, statement, declaration) || isDocumented(source, statement) ? [] : [name];
    const members = membersOf(declaration).filter(
      (member) =>
        !isDocumented(source, member) &&
        !(member.shorthand === true && this.#isDocumentedHere(source, memberName(member))),
    );
    const missing = [...own, ...members.map((member) => `${name}.${memberName(member)}`)];
    return missing.map((each) => `${source.file.replace(/^.*\/src\//, "src/")}: ${each}`);
  }

  /** Whether the function of this name, which a file declares or imports, has a docstring. */
  #isDocumentedHere(source: Source, name: string): boolean {
    const from = importedFrom(source, name);
    const declaring = from === undefined ? source : this.#source(from);
    const first = childrenAt(declaring.program, "body").find((statement) => {
      const declaration = childAt(statement, "declaration") ?? statement;
      return (
        /^(TSDeclareFunction|FunctionDeclaration|VariableDeclaration)$/.test(declaration.type) &&
        namesOf(declaration).includes(name)
      );
    });
    return first !== undefined && isDocumented(declaring, first);
  }

  /** How many names an entry exports, those in namespaces counted one by one. */
  count(entry: string): number {
    return this.#exported(entry, "").length;
  }

  #source(file: string): Source {
    const known = this.#sources.get(file);
    if (known) return known;
    const code = readFileSync(file, "utf8");
    const source = { file, code, program: parse(code, file) };
    this.#sources.set(file, source);
    return source;
  }

  #exported(file: string, prefix: string): Declared[] {
    const source = this.#source(file);
    return childrenAt(source.program, "body").flatMap((statement): Declared[] => {
      const from = childAt(statement, "source");
      if (statement.type === "ExportAllDeclaration") {
        const space = childAt(statement, "exported");
        return this.#exported(
          beside(file, textAt(from, "value")),
          space ? `${prefix}${textAt(space, "name")}.` : prefix,
        );
      }
      if (statement.type !== "ExportNamedDeclaration") return [];
      const declaration = childAt(statement, "declaration");
      if (declaration) {
        return namesOf(declaration).map((name) => ({ name: prefix + name, source, statement, declaration }));
      }
      return childrenAt(statement, "specifiers").flatMap((specifier) => {
        const [local, name] = [childAt(specifier, "local"), childAt(specifier, "exported")].map((each) =>
          textAt(each, "name"),
        );
        const target = from ? beside(file, textAt(from, "value")) : importedFrom(source, local ?? "");
        const found = this.#exported(target ?? file, "").filter((each) => each.name === local);
        if (found.length === 0) throw new Error(`${file} exports ${local}, which is not found.`);
        return found.map((each) => ({ ...each, name: `${prefix}${name}` }));
      });
    });
  }
}

function beside(file: string, path: string): string {
  return join(dirname(file), path.replace(/\.js$/, ".ts"));
}

function importedFrom({ file, program }: Source, name: string): string | undefined {
  const found = childrenAt(program, "body").find(
    (statement) =>
      statement.type === "ImportDeclaration" &&
      childrenAt(statement, "specifiers").some((each) => textAt(childAt(each, "local"), "name") === name),
  );
  return found && beside(file, textAt(childAt(found, "source"), "value"));
}

function namesOf(declaration: Ast): string[] {
  if (declaration.type !== "VariableDeclaration") return [textAt(childAt(declaration, "id"), "name")];
  return childrenAt(declaration, "declarations").map((each) => textAt(childAt(each, "id"), "name"));
}

/** Whether a docstring ends right before a node. */
function isDocumented({ code }: Source, { start }: Ast): boolean {
  return /\*\/\s*$/.test(code.slice(0, start)) && /\/\*\*(?:(?!\*\/)[\s\S])+\*\/\s*$/.test(code.slice(0, start));
}

/** A later signature of a function, or its body: the first one has the docstring. */
function isOverload({ program }: Source, statement: Ast, declaration: Ast): boolean {
  if (!/Function/.test(declaration.type)) return false;
  const [name] = namesOf(declaration);
  const first = childrenAt(program, "body").find((each) => {
    const inner = childAt(each, "declaration");
    return inner !== undefined && /Function/.test(inner.type) && namesOf(inner)[0] === name;
  });
  return first !== statement;
}

/** What users see of an interface, a class, or an object of functions. */
function membersOf(declaration: Ast): Ast[] {
  if (declaration.type === "TSInterfaceDeclaration") return childrenAt(childAt(declaration, "body"), "body");
  if (declaration.type === "TSTypeAliasDeclaration")
    return childrenAt(childAt(declaration, "typeAnnotation"), "members");
  if (declaration.type === "ClassDeclaration") {
    return childrenAt(childAt(declaration, "body"), "body").filter(isPublic);
  }
  if (declaration.type !== "VariableDeclaration") return [];
  return childrenAt(declaration, "declarations").flatMap((each) => {
    const value = childAt(each, "init");
    const object = value && /^TS(As|Satisfies)Expression$/.test(value.type) ? childAt(value, "expression") : value;
    return object?.type === "ObjectExpression" ? childrenAt(object, "properties") : [];
  });
}

function isPublic(member: Ast): boolean {
  const key = childAt(member, "key");
  const hidden =
    key?.type === "PrivateIdentifier" || member.accessibility === "private" || member.accessibility === "protected";
  return !hidden && member.override !== true && textAt(member, "kind") !== "constructor";
}

function memberName(member: Ast): string {
  const key = childAt(member, "key");
  return textAt(key, "name") || textAt(key, "value") || member.type;
}
