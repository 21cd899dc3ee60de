/** Einstein's notation, as Einsum has it. */
import type { Node } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import type { Call } from "../call.js";
import { shapeMismatch, stringAttribute } from "../checks.js";

/** The subscripts of each operand and of the result, a letter for each axis. */
export interface Equation {
  readonly operands: readonly string[];
  readonly result: string;
}

/** Reads an equation for operands of these ranks; an ellipsis becomes capital letters, aligned at the right. */
export function parseEquation(call: Call | Node, text: string, ranks: readonly number[]): Equation {
  const [left = "", right] = text.replaceAll(/\s/g, "").split("->");
  const terms = left.split(",");
  if (terms.length !== ranks.length)
    throw shapeMismatch(call, `has the equation "${text}" of ${terms.length} operands, but ${ranks.length} inputs`);
  const used = new Set(text);
  const free = [..."ZYXWVUTSRQPONMLKJIHGFEDCBA"].filter((letter) => !used.has(letter));
  const hidden = terms.map((term, k) => (term.includes("...") ? nth(ranks, k) - (term.length - 3) : 0));
  const ellipsis = free.slice(0, Math.max(0, ...hidden)).join("");
  const operands = terms.map((term, k) =>
    term.replace("...", ellipsis.slice(ellipsis.length - Math.max(nth(hidden, k), 0))),
  );
  operands.forEach((term, k) => {
    if (term.length !== ranks[k])
      throw shapeMismatch(call, `has the equation "${text}", which does not fit its input ${k}, of rank ${ranks[k]}`);
  });
  if (right !== undefined) return { operands, result: right.replace("...", ellipsis) };
  const letters = [...new Set(operands.join(""))].filter((letter) => !ellipsis.includes(letter)).sort();
  const once = letters.filter((letter) => operands.join("").split(letter).length === 2);
  return { operands, result: ellipsis + once.join("") };
}

/** The equation of an Einsum. */
export function equationOf(node: Call | Node): Equation {
  const ranks = node.inputs.map((input) => present(input).shape.length);
  return parseEquation(node, stringAttribute(node, "equation", ""), ranks);
}
