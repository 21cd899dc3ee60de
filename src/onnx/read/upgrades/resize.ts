/** Upsample, and Resize in the opsets in which it had no choice of sampling method. */

import { constantOf, type Value } from "../../../graph/value.js";
import type { Build } from "../../../ops/build.js";
import { floatAttribute, part, requireInput, stringAttribute, unknownShape } from "../../../ops/checks.js";
import { elementsIn } from "../../../tensor/tensor.js";
import type { FileNode } from "../file-node.js";
import type { Rewrite, Upgrade } from "./rule.js";

/** The scales: an input, or (before opset 9) an attribute, or (before 7) the two of an image. */
function oldScales(node: FileNode): number[] {
  const { scales } = node.attributes;
  if (Array.isArray(scales)) return scales.map(Number);
  if (node.attributes.height_scale !== undefined)
    return [1, 1, floatAttribute(node, "height_scale", 1), floatAttribute(node, "width_scale", 1)];
  const tensor = constantOf(requireInput(node, 1));
  if (!tensor) throw unknownShape(part(node, "the scales"), "must be known before the model runs, but are computed");
  return Array.from(elementsIn(tensor), Number);
}

const resizeInputs = (x: Value, scales: readonly number[], build: Build) => {
  const data = Float32Array.from(scales);
  return [x, null, build.constant({ dtype: "float32", dims: [data.length], data })];
};

/**
 * Element t was the input's element at t / scale, rounded down when enlarging and up when reducing. If axes of both
 * kinds occur, two steps are needed.
 */
const sampled: Rewrite = (node, build) => {
  const scales = oldScales(node);
  const mode = stringAttribute(node, "mode", "nearest") === "nearest" ? "nearest" : "linear";
  const attributes = (nearest: string) => ({
    mode,
    coordinate_transformation_mode: "asymmetric",
    ...(mode === "nearest" ? { nearest_mode: nearest } : {}),
  });
  const [enlarged, reduced] = [scales.map((scale) => Math.max(scale, 1)), scales.map((scale) => Math.min(scale, 1))];
  const x = requireInput(node, 0);
  const shrinks = reduced.some((scale) => scale < 1);
  const both = mode === "nearest" && shrinks && enlarged.some((scale) => scale > 1);
  const first = both ? build.op("Resize", resizeInputs(x, enlarged, build), attributes("floor")) : x;
  const inputs = resizeInputs(first, both ? reduced : scales, build);
  return { ...node, op: "Resize", inputs, attributes: attributes(shrinks ? "ceil" : "floor") };
};

export const resizeUpgrades: Readonly<Record<string, readonly Upgrade[]>> = {
  Resize: [{ below: 11, rewrite: sampled }],
  Upsample: [{ below: 10, rewrite: sampled, renames: true }],
};
