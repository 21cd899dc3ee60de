/** A Scan with one more leading axis. */
import type { Dim } from "../graph/dim.js";
import type { Node, Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import { scanParts } from "../ops/rules/scan.js";

/** Takes some values of a body, and what depends on them, to one more leading axis. */
export type BodyBatch = (
  outputs: readonly Value[],
  replacements: ReadonlyMap<Value, Value>,
) => readonly (Value | null)[];

/** A Scan with one more leading axis on some inputs; all its outputs get it. */
export function batchScan(
  node: Node,
  inputs: readonly (Value | null)[],
  batched: readonly boolean[],
  batchBody: BodyBatch,
): Value[] {
  const parts = scanParts(node);
  const { body, states, scans, inputDirections, outputDirections } = parts;
  const leading = inputs[batched.indexOf(true)]?.shape[0] as Dim;
  const spread = (value: Value) => build.expand(build.unsqueeze(value, [0]), [leading, ...value.shape]);
  const inner = body.inputs.map((value, k) =>
    k < states || batched[k] ? { ...value, shape: [leading, ...value.shape] } : value,
  );
  const replacements = new Map(
    body.inputs.flatMap((value, k) => (inner[k] === value ? [] : [[value, inner[k] as Value]])),
  );
  const outputs = batchBody(body.outputs, replacements).map((value, k) => value ?? spread(body.outputs[k] as Value));
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
