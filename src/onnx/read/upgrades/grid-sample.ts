/** GridSample: before opset 20 its modes were named as in two dimensions. */
import { stringAttribute } from "../../../ops/checks.js";
import type { Rewrite, Upgrade } from "./rule.js";

const modes: Readonly<Record<string, string>> = { bilinear: "linear", bicubic: "cubic" };

const renamedMode: Rewrite = (node) => {
  const mode = stringAttribute(node, "mode", "bilinear");
  return { ...node, attributes: { ...node.attributes, mode: modes[mode] ?? mode } };
};

export const gridSampleUpgrades: Readonly<Record<string, readonly Upgrade[]>> = {
  GridSample: [{ below: 20, rewrite: renamedMode }],
};
