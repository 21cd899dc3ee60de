/** Einsum: subscripts along which one input has one element and another has more, and batches that a file fixes. */
import { isBatch } from "../../../graph/dim.js";
import type { Value } from "../../../graph/value.js";
import { stringAttribute } from "../../../ops/checks.js";
import { build } from "../../../ops/registry.js";
import { type Equation, parseEquation } from "../../../ops/subgraphs/equation.js";
import type { FileNode } from "../file-node.js";

function operandsOf(node: FileNode): readonly Value[] | null {
  if (node.op !== "Einsum" || node.domain !== "") return null;
  const given = node.inputs.filter((input) => input !== null);
  return given.length === node.inputs.length ? given : null;
}

const equationOf = (node: FileNode, operands: readonly Value[]): Equation =>
  parseEquation(
    node,
    stringAttribute(node, "equation", ""),
    operands.map(({ shape }) => shape.length),
  );

/**
 * Drops a subscript from an input that has one element along it while another input has more: that element is the same
 * for all of them.
 */
export function withoutRepeated(node: FileNode): FileNode {
  const values = operandsOf(node);
  if (!values?.some(({ shape }) => shape.includes(1))) return node;
  const { operands, result } = equationOf(node, values);
  const longer = (letter: string) =>
    operands.some((letters, k) => [...letters].some((c, axis) => c === letter && values[k]?.shape[axis] !== 1));
  const dropped = operands.map((letters) => [...letters].map(() => false));
  operands.forEach((letters, k) => {
    [...letters].forEach((letter, axis) => {
      const once = letters.indexOf(letter) === letters.lastIndexOf(letter);
      const marks = dropped[k];
      if (marks) marks[axis] = once && values[k]?.shape[axis] === 1 && longer(letter);
    });
  });
  if (!dropped.some((marks) => marks.includes(true))) return node;
  const kept = (k: number) => (_: unknown, axis: number) => dropped[k]?.[axis] !== true;
  const inputs = values.map((value, k) =>
    dropped[k]?.includes(true) ? build.reshape(value, value.shape.filter(kept(k))) : value,
  );
  const equation = `${operands.map((letters, k) => [...letters].filter(kept(k)).join("")).join(",")}->${result}`;
  return { ...node, inputs, attributes: { ...node.attributes, equation } };
}

/**
 * If one input has a subscript for the samples, another one that was made for the file's number of samples is replaced
 * by what `repeated` returns along that axis.
 */
export function alongSamples(
  node: FileNode,
  sampleAxis: (value: Value) => number | undefined,
  repeated: (value: Value, axis: number) => Value,
): FileNode {
  const values = operandsOf(node);
  if (!values?.some(({ shape }) => shape.some(isBatch))) return node;
  const { operands } = equationOf(node, values);
  const letter = values.flatMap((value, k) => {
    const axis = value.shape.some(isBatch) ? sampleAxis(value) : undefined;
    return axis === undefined ? [] : [operands[k]?.[axis]];
  })[0];
  if (letter === undefined) return node;
  const inputs = values.map((value, k) => {
    const axis = operands[k]?.indexOf(letter) ?? -1;
    return axis < 0 || value.shape.some(isBatch) ? value : repeated(value, axis);
  });
  return { ...node, inputs };
}
