/** Scans with the same results that stack less, or read something else. */

import { inputOf } from "../../graph/operands.js";
import { remade } from "../../graph/remade.js";
import type { Node, Value } from "../../graph/value.js";
import { nth } from "../../present.js";
import type { ReadInstead } from "../body-rules.js";
import type { Build } from "../build.js";
import { scanParts } from "./scan-parts.js";

/** The outputs of a Scan, with no value of its steps stacked twice; null if none is. */
export function stackedOnce(node: Node, build: Build): Value[] | null {
  const { body, states, products, outputDirections } = scanParts(node);
  const { outputs } = body;
  const directionOf = (k: number) => outputDirections[k - states];
  const isSame = (j: number, k: number) =>
    j >= states && outputs[j] === outputs[k] && directionOf(j) === directionOf(k);
  const firstOf = outputs.map((_, k) => (k < states ? k : outputs.findIndex((_, j) => isSame(j, k))));
  const kept = outputs.flatMap((_, k) => (firstOf[k] === k ? [k] : []));
  if (kept.length === outputs.length) return null;
  const attributes = {
    ...node.attributes,
    body: { ...body, outputs: kept.map((k) => nth(outputs, k)) },
    products: kept.filter((k) => k >= outputs.length - products).length,
    scan_output_directions: [
      ...kept.filter((k) => k >= states).map((k) => nth(outputDirections, k - states)),
      ...outputDirections.slice(outputs.length - states),
    ],
  };
  const before = node.outputs.length - outputs.length;
  const made = build.node("Scan", node.inputs, attributes, kept.length + before, { name: node.name });
  const results = firstOf.map((k) => nth(made.outputs, kept.indexOf(k)));
  return [...results, ...made.outputs.slice(kept.length)];
}

/** A Scan with another body; null if its inputs are read in different directions. */
export function readingInstead(node: Node, { slices, captured, outputs }: ReadInstead): Node | null {
  const { body, states, inputDirections } = scanParts(node);
  const [direction = 0, ...others] = inputDirections;
  if (slices.length === 0 || others.some((other) => other !== direction)) return null;
  const leaves = body.inputs.slice(0, states);
  const inputs = [...leaves.map((_, k) => inputOf(node, k)), ...[...slices, ...captured].map(([outside]) => outside)];
  const attributes = {
    ...node.attributes,
    body: { inputs: [...leaves, ...[...slices, ...captured].map(([, inside]) => inside)], outputs },
    num_scan_inputs: slices.length,
    scan_input_directions: slices.map(() => direction),
  };
  return remade(node, { inputs, attributes });
}
