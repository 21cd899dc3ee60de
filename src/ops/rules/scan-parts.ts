/** The parts of a Scan node that files, rules and runtimes read. */
import { isBody } from "../../graph/body.js";
import type { Node } from "../../graph/value.js";
import type { BodyParts } from "../body-rules.js";
import type { Call } from "../call.js";
import { intAttribute, intsAttribute, shapeMismatch } from "../checks.js";

/** The parts of a Scan node. */
export interface ScanParts extends BodyParts {
  /** The number of products among the body's outputs; they come after the results. */
  readonly products: number;
  /** For each scanned input, 1 if it is read from its end. */
  readonly inputDirections: readonly number[];
  /** For each stacked output, 1 if it is written from its end. */
  readonly outputDirections: readonly number[];
}

export function scanParts(call: Call | Node): ScanParts {
  const { body } = call.attributes;
  if (!isBody(body)) throw shapeMismatch(call, "has no body");
  const states = intAttribute(call, "states", 0);
  const scans = intAttribute(call, "num_scan_inputs", 0);
  const products = intAttribute(call, "products", 0);
  return {
    body,
    states,
    scans,
    products,
    inputDirections: intsAttribute(call, "scan_input_directions") ?? Array<number>(scans).fill(0),
    outputDirections: intsAttribute(call, "scan_output_directions") ?? [],
  };
}
