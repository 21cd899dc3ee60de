/**
 * Instance normalisation with running statistics, as PyTorch's TorchScript exporter writes it for a fixed batch: a batch
 * normalisation of one image whose channels are those of all samples, `[1, N * C, ...]`, by vectors of `N * C` elements
 * that repeat those of one sample.
 */
import type { SampleAxes } from "../../../analysis/sample-axes.js";
import { factorOf, isBatch, N, type Shape } from "../../../graph/dim.js";
import { constantOf, nodeOf, type Value } from "../../../graph/value.js";
import type { Call } from "../../../ops/call.js";
import { floatAttribute } from "../../../ops/checks.js";
import { build } from "../../../ops/registry.js";
import { normalisesOverBatch } from "../../../ops/rules/normalisation.js";
import { nth } from "../../../present.js";

/** The vector of `count` elements that this one repeats for each of `fixed` samples; null if it does not. */
function ofOneSample(vector: Value | null | undefined, count: number, fixed: number): Value | null {
  if (vector?.shape.length !== 1 || vector.shape[0] !== count * fixed) return null;
  if (fixed === 1) return vector;
  const node = nodeOf(vector);
  const [source] = node?.inputs ?? [];
  if (node?.op === "Tile" && node.domain === "" && source?.shape[0] === count) return source;
  const data = Array.from<number | bigint>(constantOf(vector)?.data ?? []);
  const repeats = data.length > 0 && data.every((element, k) => Object.is(element, data[k % count]));
  return repeats ? build.slice(vector, 0, 0, count) : null;
}

/**
 * The same node with the samples along an axis of their own; null for any other node. In training mode, where each
 * channel uses its own statistics, those are of one sample too. `fixed` is the number of samples that the file was
 * written for.
 */
export function instanceStatistics(call: Call, axes: SampleAxes, fixed: number | undefined): Value | null {
  const [x, ...vectors] = call.inputs;
  if (call.op !== "BatchNormalization" || !x || fixed === undefined || x.shape[0] !== 1) return null;
  const channels = x.shape[1];
  const at = axes.along(x);
  if (!isBatch(channels) || at?.axis !== 1 || at.outer !== 1) return null;
  const each = vectors.slice(0, 4).map((vector) => ofOneSample(vector, channels.perSample, fixed));
  if (each.length < 4 || each.includes(null)) return null;
  const apart: Shape = [N, factorOf(channels), ...x.shape.slice(2)];
  const y = normalised(call, [build.reshape(x, apart), ...each]);
  return build.reshape(y, x.shape);
}

function normalised(call: Call, inputs: readonly (Value | null)[]): Value {
  const epsilon = floatAttribute(call, "epsilon", 1e-5);
  const [op, count] = normalisesOverBatch(call) ? ["InstanceNormalization", 3] : [call.op, 5];
  return nth(build.node(op, inputs.slice(0, count), { epsilon }, 1, { name: call.name }).outputs, 0);
}
