/** The definition of Scan. As Scan has a body, its rules are given functions that process bodies. */
import type { OpDefinition } from "../definition.js";
import { evaluateScan, inferScan } from "./scan.js";
import { scanAxes } from "./scan-axes.js";
import { scanParts } from "./scan-parts.js";
import { readingInstead, stackedOnce } from "./scan-remade.js";
import { pullScan } from "./scan-reverse.js";
import { batchScan } from "./scan-vmap.js";

export const scanning: readonly OpDefinition[] = [
  {
    op: "Scan",
    infer: inferScan,
    body: {
      parts: scanParts,
      evaluate: evaluateScan,
      sampleAxis: scanAxes,
      differentiate: pullScan,
      batch: batchScan,
      stackedOnce,
      readingInstead,
    },
  },
];
