/** The scalar that TRAK differentiates for a classifier. */
import { PergradError } from "../errors.js";
import { countedLabels, type Loss, meanWhere, requireTarget } from "../nn/loss.js";
import type { Tensor } from "../tensor/tensor.js";
import { constant, where } from "../trace/functions.js";

/** Replaces the label's own logit among those of the other classes. */
const none = -1e30;

/**
 * The logarithm of the odds of the label, log p - log(1 - p), averaged over a sample's labels (Park et al. 2023, "TRAK:
 * attributing model behavior at scale"): its logit minus the logarithm of the sum of the others' exponentials. Labels that the
 * loss ignores do not count, and classes lie where the loss says.
 */
export function margin(loss: Loss): Loss {
  const { labels: labelsOf, validate } = loss;
  if (loss.name !== "cross_entropy" || !labelsOf)
    throw new PergradError(
      "INVALID_ARGUMENT",
      `TRAK differentiates the odds of a label, but the loss ${loss.name} has no labels; use cross_entropy, or trak({ output: "loss" }).`,
    );
  return {
    ...(loss.output === undefined ? {} : { output: loss.output }),
    name: "margin",
    target: (output, given) => loss.target(output, given),
    ...(validate ? { validate: (target, output) => validate(target, output) } : {}),
    apply: (output, target) => {
      const own = requireTarget("margin", target).cast("int64");
      const { axis, classes, ignored } = labelsOf(output.value.shape, own.value.shape);
      const { counted, safe } = countedLabels(own, ignored);
      const place = safe.unsqueeze(axis);
      const others = where(constant(numbersAlong(axis, output.rank, classes)).equal(place), none, output);
      const most = others.max(axis, { keepDims: true });
      const sum = others.sub(most).exp().sum(axis).log().add(most.squeeze(axis));
      const odds = output.gatherElements(place, axis).squeeze(axis).sub(sum);
      return meanWhere(counted, odds);
    },
  };
}

/** 0, 1, ... along an axis. */
function numbersAlong(axis: number, rank: number, count: number): Tensor<"int64"> {
  return {
    dtype: "int64",
    dims: Array.from({ length: rank - axis }, (_, k) => (k === 0 ? count : 1)),
    data: BigInt64Array.from({ length: count }, (_, k) => BigInt(k)),
  };
}
