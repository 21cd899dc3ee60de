/** Syntax trees of the sources. */
import { parseAst } from "vitest/node";

/** A node of a syntax tree (ESTree). */
export type Ast = Readonly<Record<string, unknown>> & {
  readonly type: string;
  readonly start: number;
  readonly end: number;
};

export function isAst(value: unknown): value is Ast {
  return typeof value === "object" && value !== null && "type" in value && "start" in value && "end" in value;
}

/** Child nodes, in the order of the text. */
export function childrenOf(node: Ast): Ast[] {
  return Object.values(node).flatMap((value) =>
    Array.isArray(value) ? value.filter(isAst) : isAst(value) ? [value] : [],
  );
}

/** A node, and all nodes in it, in the order of the text. */
export function everyNode(node: Ast): Ast[] {
  return [node, ...childrenOf(node).flatMap(everyNode)];
}

/** The tree of a file of TypeScript. */
export function parse(source: string, file: string): Ast {
  const program: unknown = parseAst(source, { lang: "ts" }, file);
  if (isAst(program)) return program;
  throw new Error(`${file} is not parsed.`);
}
