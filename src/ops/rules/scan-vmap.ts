/** A Scan with one more leading axis. */

import type { Node, Value } from "../../graph/value.js";
import { nth, present } from "../../present.js";
import type { BodyBatch } from "../body-rules.js";
import type { Build } from "../build.js";
import { scanParts } from "./scan-parts.js";

/** A Scan with one more leading axis on some of its inputs. All outputs get that axis. */
export function batchScan(
  node: Node,
  inputs: readonly (Value | null)[],
  batched: readonly boolean[],
  batchBody: BodyBatch,
  build: Build,
): Value[] {
  const parts = scanParts(node);
  const { body, states, scans, inputDirections, outputDirections } = parts;
  const leading = present(inputs[batched.indexOf(true)]?.shape[0]);
  const spread = (value: Value) => build.expand(build.unsqueeze(value, [0]), [leading, ...value.shape]);
  const inner = body.inputs.map((value, k) =>
    k < states || batched[k] ? { ...value, shape: [leading, ...value.shape] } : value,
  );
  const replacements = new Map(body.inputs.flatMap((value, k) => (inner[k] === value ? [] : [[value, nth(inner, k)]])));
  const outputs = batchBody(body.outputs, replacements).map((value, k) => value ?? spread(nth(body.outputs, k)));
  const given = inputs.map((value, k) => {
    if (!value) return value;
    if (k < states) return batched[k] ? value : spread(value);
    return batched[k] && k < states + scans ? build.moveAxis(value, 1, 0) : value;
  });
  const attributes = {
    ...node.attributes,
    body: { inputs: inner, outputs },
    scan_input_directions: inputDirections,
    scan_output_directions: outputDirections,
  };
  const made = build.node("Scan", given, attributes, node.outputs.length, { name: node.name }).outputs;
  return made.map((value, k) => (k < states ? value : build.moveAxis(value, 0, 1)));
}
