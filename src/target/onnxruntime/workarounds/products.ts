/** Work-arounds for matrix products, and for what ONNX Runtime fuses with them. */
import { inputsOf } from "../../../graph/operands.js";
import { nodeOf } from "../../../graph/value.js";
import { intAttribute, requireInput } from "../../../ops/checks.js";
import { lacksActivation } from "../../../ops/microsoft/linear.js";
import { scaledTwice } from "../../../optimise/arithmetic-rules.js";
import { contributed, decomposedWhere, type Workaround } from "./workaround.js";

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
    name: "scaled-twice",
    ops: ["Mul", "Div"],
    why: "It moves scalings into the products that read them, and of two in a row it loses the first where another product reads that.",
    versions: "1.30 to 1.32",
    rewrite: scaledTwice,
  },
  {
    name: "fused-product-of-vector",
    ops: [contributed("FusedMatMul"), contributed("TransposeMatMul")],
    why: "It transposes wrongly where one operand is a vector, and refuses to where there are no batch axes.",
    versions: "1.30 to 1.32",
    rewrite: decomposedWhere((node) => {
      const ranks = [0, 1].map((index) => requireInput(node, index).shape.length);
      const any = (prefix: string) => ["A", "B"].some((side) => intAttribute(node, prefix + side, 0) !== 0);
      return (any("trans") && ranks.includes(1)) || (any("transBatch") && Math.min(...ranks) < 3);
    }),
  },
  {
    name: "fused-gemm-without-activation",
    ops: [contributed("FusedGemm")],
    why: "Its kernel knows no defaults of an activation's attributes, and does not run without an activation.",
    versions: "1.30 to 1.32",
    rewrite: decomposedWhere(lacksActivation),
  },
];
