/** Work-arounds for operators that move, cut and convert elements. */
import { knownInts, stringAttribute } from "../../../ops/checks.js";
import { paddingOf } from "../../../ops/rules/padding.js";
import { beyondAll, isBeyondAll, withEnds } from "../../../ops/rules/slicing.js";
import type { Rewrite } from "../../../optimise/rule.js";
import { decomposedWhere, type Workaround } from "./workaround.js";

const plainEnds: Rewrite = (node, build) =>
  withEnds(node, build, (end, step) => (step < 0 && isBeyondAll(end) ? -beyondAll : end));

/** Axes of size 1 that must become empty are cut off. */
const expandToNothing: Rewrite = ({ inputs: [x], outputs: [y] }, build) => {
  const [from, shape] = [x?.shape ?? [], y?.shape ?? []];
  const emptied = shape.flatMap((dim, axis) =>
    dim === 0 && from[axis - shape.length + from.length] !== 0 ? [axis] : [],
  );
  if (emptied.length === 0 || !x) return null;
  const wide = build.expand(
    x,
    shape.map((dim, axis) => (emptied.includes(axis) ? 1 : dim)),
  );
  return [emptied.reduce((value, axis) => build.slice(value, axis, 0, 0), wide)];
};

/** Names all axes, in order: the runtime does not fuse such a Pad into an average (rounded-pools.ts). */
const padOfAllAxes: Rewrite = (node, build) => {
  const [x, , value, axes] = node.inputs;
  if (!axes || !x || knownInts(node, 3)?.join() === [...x.shape.keys()].join()) return null;
  const { before, after } = paddingOf(node);
  const amounts = build.ints([...before, ...after]);
  return [build.op("Pad", [x, amounts, ...(value ? [value] : [])], node.attributes)];
};

const plainCast: Rewrite = ({ inputs: [x], attributes, outputs: [y] }, build) =>
  Object.hasOwn(attributes, "saturate") && x && y ? [build.cast(x, y.dtype)] : null;

export const shapes: readonly Workaround[] = [
  {
    name: "ends-of-slice",
    ops: ["Slice"],
    why: "Of a slice backwards to INT_MAX it infers another shape than it computes.",
    versions: "1.30 to 1.32",
    rewrite: plainEnds,
  },
  {
    name: "expand-to-nothing",
    ops: ["Expand"],
    why: "It keeps axes of size 1 that are to become empty.",
    versions: "1.30 to 1.32",
    rewrite: expandToNothing,
  },
  {
    name: "pad-with-axes",
    ops: ["Pad"],
    why: "It moves a transposition past a Pad as if its amounts were for all axes, and then refuses its own graph.",
    versions: "1.30",
    rewrite: padOfAllAxes,
  },
  {
    name: "saturating-cast",
    ops: ["Cast", "CastLike"],
    why: '"saturate" is of casts to 8-bit floats; it refuses it at others.',
    versions: "1.30 to 1.32",
    rewrite: plainCast,
  },
  {
    name: "scatter-in-parallel",
    ops: ["ScatterND"],
    why: "Its threads combine updates of the same element at the same time, and lose some.",
    versions: "1.30 to 1.32",
    rewrite: decomposedWhere((node) => stringAttribute(node, "reduction", "none") !== "none"),
  },
];
