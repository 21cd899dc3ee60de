/**
 * Per-sample reverse mode. Each parameter is viewed as `Expand(p, N)`, one view per sample, and the expand sinks
 * through everything that depends on parameters alone. That leaves two kinds of values. Values that carry samples have
 * ordinary cotangents, tensors of their shape. Values that all samples share have cotangents with one more axis, for
 * the samples, and these stay factored. Where the two kinds meet, an op's rule gives a contraction over samples; here
 * it keeps the sample axis instead of summing over it.
 */

import { type RangeOptions, Ranges } from "../analysis/ranges.js";
import type { SampleAxes } from "../analysis/sample-axes.js";
import { defect } from "../errors.js";
import type { Factored } from "../gradients/factored.js";
import { sumOf } from "../gradients/sum.js";
import { outputOf } from "../graph/operands.js";
import { describeNode, leaf, type Node, type Value } from "../graph/value.js";
import type { Build } from "../ops/build.js";
import type { BuildStrategy } from "../ops/build-strategy.js";
import { sameSampleAxis } from "../ops/checks.js";
import { isValue } from "../ops/cotangent.js";
import { build, definitionOf } from "../ops/registry.js";
import { present } from "../present.js";
import { factor } from "./factor.js";
import { bounded, passThrough } from "./pass-through.js";
import { applyRule, emitParts, type Mode, reverse } from "./reverse.js";

export type PerSample = Value | Factored;

/**
 * The per-sample gradients of `losses` (`[N]`) with respect to shared values. A value that the losses do not depend on
 * is left out. Throws SAMPLES_INTERACT, UNSUPPORTED_OP.
 * @param strategy which of several equal methods to build with
 * @param given what the inputs may hold
 */
export function perSampleGradients(
  losses: Value,
  parameters: readonly Value[],
  axes: SampleAxes,
  strategy: BuildStrategy = {},
  given: RangeOptions = {},
): Map<Value, Factored> {
  if (axes.of(losses) === null) return new Map();
  const seed = build.expand(build.scalar(1, losses), losses.shape);
  return perSampleCotangents(new Map([[losses, seed]]), parameters, axes, strategy, given);
}

/**
 * The per-sample cotangents of shared values, given those of values that carry samples: J_n' times the seed, where J_n
 * is the Jacobian of the seeded values in the parameters. A shared value that no seeded value depends on is left out.
 */
export function perSampleCotangents(
  seeds: ReadonlyMap<Value, Value>,
  parameters: readonly Value[],
  axes: SampleAxes,
  strategy: BuildStrategy = {},
  given: RangeOptions = {},
): Map<Value, Factored> {
  const ranges = Ranges.before([...seeds.keys()], given);
  const found = reverse<PerSample>(
    seeds,
    new Set(parameters),
    perSampleMode(axes, new Set(parameters), build.choosing(strategy)),
    ranges,
  );
  return new Map([...found].map(([parameter, gradient]) => [parameter, asFactored(parameter, gradient)]));
}

function perSampleMode(axes: SampleAxes, parameters: ReadonlySet<Value>, build: Build): Mode<PerSample> {
  const faded = new Set<Value>();
  return {
    build,
    pull: (node, cotangents, wanted, ranges) =>
      node.outputs.some((output) => axes.of(output) !== null)
        ? pullJoin(node, cotangents, wanted, { axes, ranges, faded }, build)
        : pullShared(node, cotangents, wanted, ranges, build),
    accumulate: (value, parts) => {
      if (axes.of(value) !== null)
        return parts
          .map((part) => asTensor(value, part))
          .reduce((sum, part) => {
            const both = build.add(sum, part);
            if (faded.has(sum) && faded.has(part)) faded.add(both);
            return both;
          });
      const factored = parts.map((part) => asFactored(value, part));
      const sum = sumOf(build, factored);
      return parameters.has(value) ? sum : bounded(build, sum, factored);
    },
  };
}

interface Known {
  readonly axes: SampleAxes;
  readonly ranges: Ranges;
  /** The cotangents that come through the steps of a loop. */
  readonly faded: Set<Value>;
}

/** A node whose outputs carry samples: on the data path, or where it meets values that samples share. */
function pullJoin(
  node: Node,
  cotangents: readonly (PerSample | null)[],
  wanted: readonly boolean[],
  { axes, ranges, faded }: Known,
  build: Build,
): (PerSample | null)[] {
  const tensors = cotangents.map((cotangent, k) => (cotangent ? asTensor(outputOf(node, k), cotangent) : null));
  const fades = Boolean(definitionOf(node)?.body) || tensors.some((each) => each && faded.has(each));
  return applyRule(node, tensors, wanted, build, ranges).map((parts, k) => {
    const input = node.inputs[k];
    if (parts.length === 0 || !input) return null;
    const at = axes.of(input);
    if (at === null) {
      const factors = parts.map((part) => factor(build, node, part, axes, fades));
      return sumOf(build, factors);
    }
    const emitted = present(emitParts(build, parts));
    // Checks every rule: the cotangent must carry the samples where its value does.
    const own = axes.of(emitted);
    if (own === null || !sameSampleAxis(own, at)) {
      throw defect(`the derivative of ${describeNode(node)} loses track of the samples`);
    }
    if (fades) faded.add(emitted);
    return emitted;
  });
}

/** A node between parameters alone: applies its rule to each sample's cotangent. */
function pullShared(
  node: Node,
  cotangents: readonly (PerSample | null)[],
  wanted: readonly boolean[],
  ranges: Ranges,
  build: Build,
): (PerSample | null)[] {
  const given = new Map<Value, Factored>();
  const stand = cotangents.map((cotangent, k) => {
    if (!cotangent) return null;
    const output = outputOf(node, k);
    const one = leaf("cotangent", output, { kind: "input" });
    given.set(one, asFactored(output, cotangent));
    return one;
  });
  const outputs = applyRule(node, stand, wanted, build, ranges).map((parts) => emitParts(build, parts));
  return passThrough(build, outputs, given);
}

function asTensor(value: Value, cotangent: PerSample): Value {
  if (isValue(cotangent)) return cotangent;
  throw defect(`the cotangent of "${value.name}" is factored where a tensor is needed`);
}

function asFactored(value: Value, cotangent: PerSample): Factored {
  if (!isValue(cotangent)) return cotangent;
  throw defect(`the cotangent of "${value.name}" has lost its sample axis`);
}
