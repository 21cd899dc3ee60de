/** Work-arounds for operators that few models use, in the order in which they are tried at a node. */
import { attention } from "./attention.js";
import { fused } from "./fused.js";
import { loops } from "./loops.js";
import { normalisation } from "./normalisation.js";
import { resized } from "./resized.js";
import { transforms } from "./transforms.js";
import type { Workaround } from "./workaround.js";

export { fasterAfterLoops } from "../faster-after-loops.js";

export const seldomNeeded: readonly Workaround[] = [
  ...normalisation,
  ...attention,
  ...fused,
  ...loops,
  ...resized,
  ...transforms,
];
