/** The scalar that TRAK differentiates for a classifier. */
import { PergradError } from "../errors.js";
import { classAxisOf } from "../nn/labels.js";
import { type Loss, meanPerSample, requireTarget } from "../nn/loss.js";
import { crossEntropy } from "../nn/losses.js";
import { constant, where } from "../trace/functions.js";

/** Replaces the label's own logit among those of the other classes. */
const none = -1e30;

/**
 * The logarithm of the odds of the label, log p - log(1 - p), averaged over a sample's labels (Park et al. 2023, "TRAK:
 * attributing model behavior at scale"): its logit minus the logarithm of the sum of the others' exponentials.
 */
export function margin(loss: Loss): Loss {
  if (loss.name !== "cross_entropy")
    throw new PergradError(
      "INVALID_ARGUMENT",
      `TRAK looks at the odds of a label, and the loss ${loss.name} has none; use cross_entropy, or trak({ output: "loss" }).`,
    );
  const labels = crossEntropy();
  return {
    ...(loss.output === undefined ? {} : { output: loss.output }),
    ...labels,
    name: "margin",
    target: (output, given) => loss.target(output, given),
    apply: (output, target) => {
      const own = requireTarget("margin", target).cast("int64");
      const axis = classAxisOf("margin", output.value.shape, undefined, own.value.shape);
      const classes = Number(output.value.shape[axis]);
      const column = Array.from({ length: output.rank - axis }, (_, k) => (k === 0 ? classes : 1));
      const numbers = constant({
        dtype: "int64",
        dims: column,
        data: BigInt64Array.from({ length: classes }, (_, k) => BigInt(k)),
      });
      const place = own.unsqueeze(axis);
      const others = where(numbers.equal(place), none, output);
      const most = others.max(axis, { keepDims: true });
      const sum = others.sub(most).exp().sum(axis).log().add(most.squeeze(axis));
      return meanPerSample(output.gatherElements(place, axis).squeeze(axis).sub(sum));
    },
  };
}
