/**
 * RandomNormal, RandomUniform, their Like forms, Bernoulli and Multinomial. The numbers that the runtime draws are
 * treated as constants.
 */

import type { SampleAxis } from "../../graph/sample-axis.js";
import type { Node } from "../../graph/value.js";
import { nth } from "../../present.js";
import { type DType, isDType, isFloat } from "../../tensor/tensor.js";
import type { Call } from "../call.js";
import { apartFrom, intAttribute, intsAttribute, part, requireInput, shapeMismatch, unsupported } from "../checks.js";
import type { OpDefinition } from "../definition.js";

/** The dtype that an attribute names, or `fallback` if the attribute is absent. */
export function dtypeAttribute(call: Call | Node, name: string, fallback: DType): DType {
  const given = call.attributes[name] ?? fallback;
  if (typeof given === "string" && isDType(given)) return given;
  throw unsupported(
    part(call, `the attribute "${name}"`),
    "is a type of numbers that pergrad does not compute with",
    "give float32 or int64",
  );
}

function floatAttributeType(call: Call, fallback: DType): DType {
  const dtype = dtypeAttribute(call, "dtype", fallback);
  if (!isFloat(dtype))
    throw unsupported(
      call,
      `draws numbers of dtype ${dtype}, which are not floating-point`,
      "draw float32 and cast it",
    );
  return dtype;
}

/** The reference cannot draw: other random numbers would amount to another model. */
function cannotDraw(node: Node): never {
  throw unsupported(
    node,
    "draws random numbers, so there is nothing to compare its results with",
    "make the drawn numbers an input of the model, or export the model in evaluation mode",
  );
}

const drawing = {
  random: true,
  evaluate: (_: unknown, node: Node) => cannotDraw(node),
  differentiate: "none",
} as const;

/** Each element is drawn independently, so no two are alike, whatever they are drawn from. */
const drawnApart = (at: SampleAxis | null | undefined): SampleAxis | null =>
  at ? { axis: at.axis, outer: at.outer, inner: at.inner } : null;

function ofShape(op: string): OpDefinition {
  return {
    op,
    infer: (call) => {
      const shape = intsAttribute(call, "shape");
      if (!shape) throw shapeMismatch(call, "has no shape");
      return [{ dtype: floatAttributeType(call, "float32"), shape }];
    },
    ...drawing,
  };
}

/** Only the shape of the input matters, so a batch of inputs changes nothing. */
function like(op: string): OpDefinition {
  return {
    op,
    infer: (call) => {
      const { dtype, shape } = requireInput(call, 0);
      return [{ dtype: floatAttributeType(call, dtype), shape }];
    },
    ...drawing,
    batch: () => [],
    sampleAxis: (_node, [at]) => [drawnApart(at)],
  };
}

const bernoulli: OpDefinition = {
  op: "Bernoulli",
  infer: (call) => {
    const { dtype, shape } = requireInput(call, 0);
    return [{ dtype: dtypeAttribute(call, "dtype", dtype), shape }];
  },
  ...drawing,
  sampleAxis: (_node, [at]) => [drawnApart(at)],
};

const multinomial: OpDefinition = {
  op: "Multinomial",
  infer: (call) => {
    const { shape } = requireInput(call, 0);
    const count = intAttribute(call, "sample_size", 1);
    if (shape.length !== 2) throw shapeMismatch(part(call, "the input"), "is not a matrix of classes per row");
    const dtype = dtypeAttribute(call, "dtype", "int32");
    if (dtype !== "int32" && dtype !== "int64")
      throw unsupported(part(call, "the classes"), `are of dtype ${dtype}, not int64 or int32`);
    return [{ dtype, shape: [nth(shape, 0), count] }];
  },
  ...drawing,
  sampleAxis: (node, [at]) => [drawnApart(apartFrom(node, at ?? null, [1], "draws one of the samples"))],
};

export const random: readonly OpDefinition[] = [
  ofShape("RandomNormal"),
  ofShape("RandomUniform"),
  like("RandomNormalLike"),
  like("RandomUniformLike"),
  bernoulli,
  multinomial,
];
