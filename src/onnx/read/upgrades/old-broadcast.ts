/** Before opset 7, operands were aligned by attributes, not at the right. */
import type { Dim } from "../../../graph/dim.js";
import { intAttribute, normalAxis, part, requireInput, shapeMismatch } from "../../../ops/checks.js";
import { dropping, type Rewrite, type Upgrade, withInputs, without } from "./rule.js";

/** With `axis`, the first axis of the second operand is aligned with that axis of the first operand. */
const alignedAtAxis: Rewrite = (node, build) => {
  const [a, b] = [requireInput(node, 0), requireInput(node, 1)];
  const upgraded = { ...node, attributes: without(node.attributes, "axis", "broadcast") };
  if (node.attributes.axis === undefined || intAttribute(node, "broadcast", 0) === 0) return upgraded;
  const start = normalAxis(node, intAttribute(node, "axis", 0), a.shape.length);
  const behind = a.shape.length - start - b.shape.length;
  if (behind < 0) throw shapeMismatch(part(node, "the second input"), `does not fit the first from axis ${start} on`);
  return withInputs(upgraded, 1, [build.reshape(b, [...b.shape, ...Array<Dim>(behind).fill(1)])]);
};

/** A slope of rank 1 held one element per channel, axis 1. */
const slopePerChannel: Rewrite = (node, build) => {
  const [x, slope] = [requireInput(node, 0), requireInput(node, 1)];
  if (slope.shape.length !== 1 || slope.shape[0] === 1 || x.shape.length <= 2) return node;
  return withInputs(node, 1, [build.reshape(slope, [...slope.shape, ...Array<Dim>(x.shape.length - 2).fill(1)])]);
};

const aligned = ["Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Less", "Greater"];

export const oldBroadcastUpgrades: Readonly<Record<string, readonly Upgrade[]>> = {
  ...Object.fromEntries(aligned.map((op) => [op, [{ below: 7, rewrite: alignedAtAxis }]])),
  Gemm: [{ below: 7, rewrite: dropping("broadcast") }],
  PRelu: [{ below: 7, rewrite: slopePerChannel }],
};
