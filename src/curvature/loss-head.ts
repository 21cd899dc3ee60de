/** The loss as a function of the model's output alone, and its second derivative there. */
import { plain, reverse } from "../autodiff/reverse.js";
import { substitute } from "../graph/body.js";
import { leaf, type Value } from "../graph/value.js";
import { build } from "../ops/registry.js";
import { nth } from "../present.js";
import type { Differentiable } from "./differentiable.js";

/** The loss in terms of the output: its gradient, and its Hessian times a vector, which is 0 if the loss is linear. */
export class LossHead {
  readonly #output: Value;
  readonly #vector: Value;
  readonly #product: Value;
  readonly #gradient: Value;

  constructor({ lossOf, output, second }: Differentiable) {
    this.#output = leaf("output", output, { kind: "input" });
    this.#vector = leaf("vector", output, { kind: "input" });
    this.#gradient = gradientOf(lossOf(this.#output), this.#output);
    this.#product = second?.(this.#output, this.#vector) ?? this.#differentiated();
  }

  #differentiated(): Value {
    return gradientOf(build.sum(build.mul(this.#gradient, this.#vector)), this.#output);
  }

  /** The Hessian of each sample's loss at this output, times a vector: `[N, ...]`, as the output. */
  times(output: Value, vector: Value): Value {
    const given = new Map([
      [this.#output, output],
      [this.#vector, vector],
    ]);
    return nth(substitute([this.#product], given), 0);
  }

  /** The gradient of each sample's loss in its output, at this output: `[N, ...]`. */
  gradient(output: Value): Value {
    return nth(substitute([this.#gradient], new Map([[this.#output, output]])), 0);
  }
}

function gradientOf(value: Value, wrt: Value): Value {
  const ones = build.expand(build.scalar(1, value), value.shape);
  return reverse(new Map([[value, ones]]), new Set([wrt]), plain).get(wrt) ?? build.zeros(wrt.shape, wrt.dtype);
}
