/** Before opset 13, Softmax and related operators normalised over all axes from `axis` on together. */

import { elementsOf } from "../../../graph/dim.js";
import { dimsValue } from "../../../graph/value.js";
import { intAttribute, part, requireInput, shapeMismatch, unsupported } from "../../../ops/checks.js";
import { present } from "../../../present.js";
import type { Rewrite, Upgrade } from "./rule.js";

const alongOneAxis: Rewrite = (node, build) => {
  const x = requireInput(node, 0);
  const rank = x.shape.length;
  const given = intAttribute(node, "axis", 1);
  const axis = given < 0 ? given + rank : given;
  if (axis < 0 || axis > rank) throw shapeMismatch(part(node, `axis ${given}`), `is outside a tensor of rank ${rank}`);
  if (axis === rank - 1) return { ...node, attributes: { axis } };
  const [rows, columns] = [elementsOf(x.shape.slice(0, axis)), elementsOf(x.shape.slice(axis))];
  if (rows === undefined || columns === undefined)
    throw unsupported(node, "flattens two axes that grow with the batch into one");
  const matrix = build.reshape(x, [rows, columns]);
  const [result] = build.node(node.op, [matrix], { axis: 1 }, 1, { name: node.name }).outputs;
  return { ...node, op: "Reshape", inputs: [present(result), dimsValue(x.shape)], attributes: { allowzero: 1 } };
};

export const softmaxUpgrades: Readonly<Record<string, readonly Upgrade[]>> = {
  Softmax: [{ below: 13, rewrite: alongOneAxis }],
  LogSoftmax: [{ below: 13, rewrite: alongOneAxis }],
  Hardmax: [{ below: 13, rewrite: alongOneAxis }],
};
