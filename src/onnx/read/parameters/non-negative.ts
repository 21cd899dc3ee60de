/** Which names of a file are never negative, for certain, by the nodes behind them. */
import type { Uses } from "../uses.js";

const always = new Set([
  "Abs",
  "Exp",
  "HardSigmoid",
  "ReduceL1",
  "ReduceL2",
  "ReduceSumSquare",
  "Relu",
  "Sigmoid",
  "Softmax",
  "Softplus",
  "Sqrt",
]);

/** Where the first input is not negative, neither is the result. */
const keeps = new Set([
  "AveragePool",
  "Cast",
  "Dropout",
  "Expand",
  "Flatten",
  "Gather",
  "GlobalAveragePool",
  "GlobalMaxPool",
  "Identity",
  "MaxPool",
  "ReduceMax",
  "ReduceMean",
  "ReduceMin",
  "ReduceSum",
  "Reshape",
  "Slice",
  "Squeeze",
  "Transpose",
  "Unsqueeze",
]);

const deepest = 16;

export function isNonNegative(name: string, uses: Uses, depth = 0): boolean {
  const node = uses.producerOf(name);
  if (!node || node.opType === "Constant") return (uses.numberOf(name) ?? -1) >= 0;
  if (always.has(node.opType)) return true;
  if (depth > deepest) return false;
  const inputs = node.input.filter((input) => input !== "");
  const holds = (input: string) => isNonNegative(input, uses, depth + 1);
  if (keeps.has(node.opType)) return inputs.slice(0, 1).every(holds);
  switch (node.opType) {
    case "Clip": {
      const low = node.attribute.find((attribute) => attribute.name === "min")?.f;
      return holds(inputs[0] ?? "") || (low ?? uses.numberOf(node.input[1] ?? "") ?? -1) >= 0;
    }
    case "Mul":
      return inputs[0] === inputs[1] || inputs.every(holds);
    case "Max":
      return inputs.some(holds);
    case "Add":
    case "Div":
    case "Min":
    case "Sum":
      return inputs.every(holds);
    case "Pow":
      return (uses.numberOf(inputs[1] ?? "") ?? 1) % 2 === 0 || holds(inputs[0] ?? "");
    default:
      return false;
  }
}
