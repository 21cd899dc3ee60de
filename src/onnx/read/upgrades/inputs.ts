/** Attributes that became inputs: axes, bounds, amounts, sizes. */
import { floatAttribute, intAttribute, intsAttribute, requireInput, unsupported } from "../../../ops/checks.js";
import { type Rewrite, type Upgrade, withInputs, without } from "./rule.js";

const axesToInput: Rewrite = (node, build) => {
  const axes = intsAttribute(node, "axes");
  const upgraded = { ...node, attributes: without(node.attributes, "axes") };
  return withInputs(upgraded, 1, axes ? [build.ints(axes)] : []);
};

const sliceToInputs: Rewrite = (node, build) => {
  const [starts = [], ends = [], axes] = ["starts", "ends", "axes"].map((name) => intsAttribute(node, name));
  const upgraded = { ...node, attributes: {} };
  return withInputs(upgraded, 1, [build.ints(starts), build.ints(ends), axes ? build.ints(axes) : null]);
};

const padToInputs: Rewrite = (node, build) => {
  const amounts = build.ints(intsAttribute(node, "pads") ?? []);
  const value = build.scalar(floatAttribute(node, "value", 0), requireInput(node, 0));
  return withInputs({ ...node, attributes: without(node.attributes, "pads", "value") }, 1, [amounts, value]);
};

const clipToInputs: Rewrite = (node, build) => {
  const bounds = ["min", "max"].map((name) => {
    const bound = node.attributes[name];
    return typeof bound === "number" ? build.scalar(bound, requireInput(node, 0)) : null;
  });
  return withInputs({ ...node, attributes: {} }, 1, bounds);
};

const splitToInput: Rewrite = (node, build) => {
  const sizes = intsAttribute(node, "split");
  const upgraded = { ...node, attributes: without(node.attributes, "split") };
  return sizes ? withInputs(upgraded, 1, [build.ints(sizes)]) : upgraded;
};

/** Without sizes, the number of equal pieces was the number of outputs. */
const splitCount: Rewrite = (node) =>
  node.inputs[1] ? node : { ...node, attributes: { ...node.attributes, num_outputs: node.outputs } };

const dropoutMode: Rewrite = (node) => {
  if (intAttribute(node, "is_test", 0) === 0) {
    throw unsupported(node, "drops elements at random (is_test=0)", "export the model in evaluation mode");
  }
  return { ...node, attributes: without(node.attributes, "is_test") };
};

const dropoutRatio: Rewrite = (node, build) => {
  const ratio = build.scalar(floatAttribute(node, "ratio", 0.5), requireInput(node, 0));
  return withInputs({ ...node, attributes: without(node.attributes, "ratio") }, 1, [ratio]);
};

const dftAxis: Rewrite = (node, build) => {
  const axis = build.ints([intAttribute(node, "axis", 1)], []);
  const inputs = [requireInput(node, 0), node.inputs[1] ?? null, axis];
  return { ...node, attributes: without(node.attributes, "axis"), inputs };
};

/** Coordinates used to be those of the image, without the shift by half a pixel. */
const roiCorners: Rewrite = (node) => ({
  ...node,
  attributes: { ...node.attributes, coordinate_transformation_mode: "output_half_pixel" },
});

const reductions = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare"];
const reduceUpgrades = reductions.map((kind): [string, Upgrade[]] => [
  `Reduce${kind}`,
  [{ below: 18, rewrite: axesToInput }],
]);

export const inputsUpgrades: Readonly<Record<string, readonly Upgrade[]>> = {
  ...Object.fromEntries(reduceUpgrades),
  ReduceSum: [{ below: 13, rewrite: axesToInput }],
  Squeeze: [{ below: 13, rewrite: axesToInput }],
  Unsqueeze: [{ below: 13, rewrite: axesToInput }],
  Slice: [{ below: 10, rewrite: sliceToInputs }],
  Pad: [{ below: 11, rewrite: padToInputs }],
  Clip: [{ below: 11, rewrite: clipToInputs }],
  Split: [
    { below: 13, rewrite: splitToInput },
    { below: 18, rewrite: splitCount },
  ],
  DFT: [{ below: 20, rewrite: dftAxis }],
  Dropout: [
    { below: 7, rewrite: dropoutMode },
    { below: 12, rewrite: dropoutRatio },
  ],
  RoiAlign: [{ below: 16, rewrite: roiCorners }],
  Scatter: [{ below: 11, rewrite: (node) => ({ ...node, op: "ScatterElements" }), renames: true }],
};
