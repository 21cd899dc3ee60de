/** Other forms of a file's nodes, which show that samples do not meet. */

import { SampleAxes } from "../../../analysis/sample-axes.js";
import type { Value } from "../../../graph/value.js";
import type { Adapter } from "../other-forms.js";
import { roundedSize } from "./batch-sizes.js";
import { instanceStatistics } from "./instance-statistics.js";
import { Numbers } from "./numbers.js";
import { ownRows } from "./own-rows.js";
import { sampleConvolution } from "./sample-convolution.js";
import { withoutSorting } from "./sorting.js";

/** The nodes that may have another form. */
export function specialForms(inputs: ReadonlyMap<Value, number>, fixed: number | undefined): Adapter {
  const reading = { numbers: new Numbers(), axes: new SampleAxes(inputs), ofOne: fixed === 1 };
  return {
    replace: (node) => {
      const found =
        ownRows(node, reading) ??
        roundedSize(node) ??
        sampleConvolution(node, reading.axes, fixed) ??
        instanceStatistics(node, reading.axes, fixed);
      return found ? [found] : withoutSorting(node, reading);
    },
  };
}
