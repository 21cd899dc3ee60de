/** Finds the parameter that is added to a layer's outputs. */
import { Dense } from "../gradients/dense.js";
import type { Factored } from "../gradients/factored.js";
import { substitute } from "../graph/body.js";
import { bindShape } from "../graph/dim.js";
import { leaf, type Node, nodeOf, type Value } from "../graph/value.js";
import { nodesBefore, presentInputs } from "../graph/walk.js";
import { evaluateGraph } from "../interpret/evaluate.js";
import { elementFactor } from "../ops/build.js";
import { build } from "../ops/registry.js";
import { random } from "../tensor/random.js";
import { sizeOf } from "../tensor/tensor.js";

/** The most nodes between a cotangent and a gradient that is made from it by moving and adding its elements. */
const mostNodes = 64;

/** Samples on which it is tried whether gradients are equal. */
const samples = 2;

/** The cotangents of a layer at all positions. */
export class Positions {
  readonly #before: ReadonlySet<Value>;
  readonly #sum: Value;

  /** @param layer its cotangents, `[N, S, O]`, and the number O of its outputs */
  constructor(private readonly layer: { readonly cotangents: Value; readonly matrix: { readonly rows: number } }) {
    const { cotangents } = layer;
    this.#before = new Set([cotangents, ...nodesBefore([cotangents]).flatMap(({ outputs }) => outputs)]);
    this.#sum = build.sum(cotangents, [1]);
  }

  /**
   * Whether their sum is a parameter's gradient: then the parameter is added to the layer's outputs. A few nodes must make both
   * from the same values, and from nothing else; random values then show whether they are equal.
   */
  sumTo(gradient: Factored): boolean {
    if (!(gradient instanceof Dense) || elementFactor(gradient.shape) !== this.layer.matrix.rows) return false;
    const other = gradient.materialise(build);
    const common = cut(other, (value) => this.#before.has(value));
    return common !== null && cut(this.#sum, (value) => common.has(value)) !== null && equal(this.#sum, other, common);
  }
}

/** The values with `stop` from which a few nodes make this one; null if it also needs other values. */
function cut(value: Value, stop: (value: Value) => boolean): Set<Value> | null {
  const found = new Set<Value>();
  const seen = new Set<Node>();
  const stack = [value];
  for (let next = stack.pop(); next; next = stack.pop()) {
    const node = nodeOf(next);
    if (stop(next)) found.add(next);
    else if (node && !seen.has(node)) {
      seen.add(node);
      if (seen.size > mostNodes) return null;
      stack.push(...presentInputs(node));
    } else if (!node && next.source.kind !== "constant" && next.source.kind !== "dims") return null;
  }
  return found;
}

function equal(first: Value, second: Value, common: ReadonlySet<Value>): boolean {
  const stands = new Map([...common].map((value) => [value, leaf("cotangent", value, { kind: "input" })]));
  const generator = random(0);
  const given = new Map(
    [...stands.values()].map((stand) => {
      const dims = bindShape(stand.shape, samples);
      return [stand, { dims, data: Float64Array.from(generator.normals(sizeOf(dims), 1)) }];
    }),
  );
  const tried = substitute([first, second], stands);
  const [own, other] = evaluateGraph(tried, given, samples).map(({ data }) => data);
  return own?.every((x, k) => Math.abs(x - (other?.[k] ?? Number.NaN)) <= 1e-9 * (1 + Math.abs(x))) ?? false;
}
