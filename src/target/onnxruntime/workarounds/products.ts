/** Work-arounds for matrix products. */
import { inputsOf } from "../../../graph/operands.js";
import { nodeOf } from "../../../graph/value.js";
import { stringAttribute } from "../../../ops/checks.js";
import { equationOf } from "../../../ops/subgraphs/equation.js";
import { scaledTwice } from "../../../optimise/arithmetic-rules.js";
import type { Rewrite } from "../../../optimise/rule.js";
import { restated, type Workaround } from "./workaround.js";

const ellipsisSummed: Rewrite = (node, build) => {
  const [operands = "", result] = stringAttribute(node, "equation", "").split("->");
  if (!operands.includes("...") || result === undefined || result.includes("...")) return null;
  const letters = equationOf(node);
  const equation = `${letters.operands.join(",")}->${letters.result}`;
  return restated(node, build, { attributes: { ...node.attributes, equation } });
};

export const products: readonly Workaround[] = [
  {
    name: "transposed-times-vector",
    ops: ["MatMul"],
    why: "It fuses a transposition with the product of its result and a vector, and multiplies wrongly.",
    versions: "1.30 to 1.32",
    rewrite: (node, build) => {
      const [a, b] = inputsOf(node, 2);
      if (nodeOf(a)?.op !== "Transpose" || b.shape.length !== 1) return null;
      const column = build.op("MatMul", [a, build.unsqueeze(b, [1])]);
      return [build.reshape(column, column.shape.slice(0, -1))];
    },
  },
  {
    name: "product-of-nothing",
    ops: ["MatMul"],
    why: "A product over no elements that is added to something is fused into a Gemm whose reshape fails.",
    versions: "1.30 to 1.32",
    rewrite: ({ inputs: [a], outputs: [product] }, build) =>
      a?.shape.at(-1) === 0 && product ? [build.zeros(product.shape, product.dtype)] : null,
  },
  {
    name: "ellipsis-summed",
    ops: ["Einsum"],
    why: "It refuses to sum over the axes of an ellipsis.",
    versions: "1.30 to 1.32",
    rewrite: ellipsisSummed,
  },
  {
    name: "scaled-twice",
    ops: ["Mul", "Div"],
    why: "It moves scalings into the products that read them, and of two in a row it loses the first where another product reads that.",
    versions: "1.30 to 1.32",
    rewrite: scaledTwice,
  },
];
