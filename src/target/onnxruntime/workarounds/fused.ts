/** Work-arounds for matrix products that a file has in ONNX Runtime's own operators. */
import { intAttribute, requireInput } from "../../../ops/checks.js";
import { lacksActivation } from "../../../ops/microsoft/linear.js";
import { contributed, decomposedWhere, type Workaround } from "./workaround.js";

export const fused: readonly Workaround[] = [
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
