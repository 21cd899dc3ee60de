/** Finds which names of a file are certainly never negative, by the nodes behind them. */
import { standardDefinition } from "../../../ops/registry.js";
import type { Uses } from "../uses.js";

const deepest = 16;

export function isNonNegative(name: string, uses: Uses, depth = 0): boolean {
  const node = uses.producerOf(name);
  if (!node || node.opType === "Constant") return (uses.numberOf(name) ?? -1) >= 0;
  const sign = standardDefinition(node.opType)?.notNegative;
  if (sign === "always") return true;
  if (depth > deepest) return false;
  const inputs = node.input.filter((input) => input !== "");
  const holds = (input: string) => isNonNegative(input, uses, depth + 1);
  if (sign === "kept") return inputs.slice(0, 1).every(holds);
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
