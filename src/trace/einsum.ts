/** Sums of products. It has a file of its own because it loads the Einsum operator, which few models use. */
import { addOperators } from "../ops/registry.js";
import { einsum as operators } from "../ops/rules/einsum.js";
import { invalid } from "./shape.js";
import { requireSameDType, type Traced } from "./traced.js";

/**
 * Sums of products, in Einstein's notation: `einsum("ni,nij->nj", x, w)`.
 * @throws PergradError INVALID_ARGUMENT: there are no operands, or the equation is malformed.
 * @throws PergradError DTYPE_MISMATCH or SHAPE_MISMATCH: the operands do not fit the equation or each other.
 */
export function einsum(equation: string, ...operands: readonly Traced[]): Traced {
  const [first, ...others] = operands;
  if (!first) throw invalid("einsum: there are no operands; give one per term.");
  if (!/^[a-zA-Z,.\s]*(->[a-zA-Z.\s]*)?$/.test(equation))
    throw invalid(`einsum: "${equation}" is not an equation; write one such as "ij,jk->ik".`);
  requireSameDType(
    "einsum",
    operands.map((operand) => operand.value),
  );
  addOperators(operators);
  return first.onnx("Einsum", others, { equation });
}
