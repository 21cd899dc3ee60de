import { describe, expect, it } from "vitest";
import { PergradError } from "../../src/errors.js";
import { type Attributes, leaf } from "../../src/graph/value.js";
import { build } from "../../src/ops/registry.js";
import { contribTable, vectorCases } from "../support/contrib-cases.js";
import type { OpCase } from "../support/op-checks.js";
import { type Cases, describeOp } from "../support/op-suite.js";

const domain = "com.microsoft";
const cases = (op: string) => contribTable[op] as Cases;
const onGpusOnly = "ONNX Runtime has this operator on GPUs only";

for (const op of ["Gelu", "QuickGelu", "FastGelu", "BiasGelu"]) describeOp(`${domain}.${op}`, { cases: cases(op) });

describeOp(`${domain}.BiasSplitGelu`, { cases: cases("BiasSplitGelu"), noKernel: onGpusOnly });

describeOp(`${domain}.BiasAdd`, { cases: cases("BiasAdd"), noKernel: onGpusOnly });

describeOp(`${domain}.BiasSoftmax`, { cases: cases("BiasSoftmax"), noKernel: onGpusOnly });

describeOp(`${domain}.BiasDropout`, { cases: cases("BiasDropout"), noKernel: onGpusOnly });

describeOp(`${domain}.FusedMatMul`, { cases: cases("FusedMatMul") });

describeOp(`${domain}.FusedMatMul of vectors`, {
  cases: vectorCases,
  noKernel: "ONNX Runtime transposes wrongly where one operand is a vector, so that programs hold the parts",
});

describeOp(`${domain}.FusedGemm`, { cases: cases("FusedGemm") });

describeOp(`${domain}.FusedConv`, { cases: cases("FusedConv") });

/** The kernel takes two or three axes, and the statistics of programs come from another one. */
const unusual = ({ inputs, outputs }: OpCase) => {
  const [x, skip] = inputs.map((input) => input?.dims.length ?? 0) as [number, number];
  return (outputs ?? 1) > 1 || x < 2 || x > 3 || skip < 2;
};
describeOp(`${domain}.SkipLayerNormalization`, {
  cases: cases("SkipLayerNormalization"),
  notInRuntime: unusual,
  inParts: true,
});
describeOp(`${domain}.SkipSimplifiedLayerNormalization`, {
  cases: cases("SkipSimplifiedLayerNormalization"),
  notInRuntime: unusual,
  inParts: true,
});

describeOp(`${domain}.GroupNorm`, { cases: cases("GroupNorm"), noKernel: onGpusOnly });
describeOp(`${domain}.SkipGroupNorm`, { cases: cases("SkipGroupNorm"), noKernel: onGpusOnly });

describeOp(`${domain}.EmbedLayerNormalization`, {
  cases: cases("EmbedLayerNormalization"),
  // The kernel asks for its second output to be there.
  notInRuntime: ({ outputs }) => outputs === 1,
  inParts: true,
});

// Refusals

const f = (...dims: number[]) => leaf("x", { dtype: "float32", shape: dims }, { kind: "input" });
const i = (...dims: number[]) => leaf("i", { dtype: "int32", shape: dims }, { kind: "input" });

describe("refuses", () => {
  it.each([
    ["a bias of another size", "BiasGelu", [f(2, 3), f(2)], {}],
    ["a bias that is missing", "BiasGelu", [f(2, 3)], {}],
    ["a scalar with a bias", "FastGelu", [f(), f(1)], {}],
    ["an odd axis to split", "BiasSplitGelu", [f(2, 3), f(3)], {}],
    ["a bias that adds axes", "BiasSoftmax", [f(3), f(2, 3)], {}],
    [
      "training",
      "BiasDropout",
      [f(2, 3), f(3), f(2, 3), f(), leaf("t", { dtype: "bool", shape: [] }, { kind: "input" })],
      {},
    ],
    ["inner sizes that differ", "FusedMatMul", [f(2, 3), f(3, 4)], { transA: 1 }],
    ["scalars to multiply", "FusedMatMul", [f(), f(3, 4)], {}],
    ["an unknown activation", "FusedGemm", [f(2, 3), f(3, 4)], { activation: "Nonsense" }],
    ["an activation of __proto__", "FusedConv", [f(2, 3, 4), f(2, 3, 2)], { activation: "__proto__" }],
    ["a sum of another shape", "FusedConv", [f(2, 3, 4), f(2, 3, 2), f(2), f(2, 2, 4)], { activation: "Relu" }],
    ["a gain of another size", "SkipLayerNormalization", [f(2, 3), f(2, 3), f(2)], {}],
    ["a scalar to normalise", "SkipSimplifiedLayerNormalization", [f(), f(), f(1)], {}],
    ["channels that do not divide", "GroupNorm", [f(2, 4, 3), f(3), f(3)], { groups: 2 }],
    ["a number of groups of 0", "GroupNorm", [f(2, 4, 3), f(3), f(3)], { groups: 0 }],
    ["an activation that has no name", "GroupNorm", [f(2, 4, 3), f(3), f(3)], { groups: 3, activation: 5 }],
    ["a skip of another shape", "SkipGroupNorm", [f(2, 4, 3), f(3), f(3), f(2, 3, 3)], { groups: 3 }],
    ["tables of different widths", "EmbedLayerNormalization", [i(2, 3), null, f(4, 5), f(4, 6), null, f(5), f(5)], {}],
    ["too few positions", "EmbedLayerNormalization", [i(2, 3), null, f(4, 5), f(2, 5), null, f(5), f(5)], {}],
    ["segments without a table", "EmbedLayerNormalization", [i(2, 3), i(2, 3), f(4, 5), f(4, 5), null, f(5), f(5)], {}],
  ] as [string, string, ReturnType<typeof f>[], Attributes][])("%s", (_, op, inputs, attributes) => {
    expect(() => build.node(op, inputs, attributes, 1, { domain })).toThrow(PergradError);
  });
});
