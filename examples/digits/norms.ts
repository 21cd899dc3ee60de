/** The norm of each digit's own gradient, without ever making the gradients themselves. */
import { losses, type Model, perSample, want } from "../../src/index.js";
import { miniBatches, type Parameters } from "../../src/train/index.js";
import type { Digits } from "./data.js";
import { layerNames, layerOf } from "./network.js";
import { outputOf, predictions } from "./training.js";

export interface Layer {
  readonly name: string;
  /** Number of weights. */
  readonly elements: number;
  /** Mean over the digits of the layer's part of the squared norm, 0 to 1. */
  readonly share: number;
}

/** One entry per digit in each list. */
export interface NormStudy {
  readonly norms: readonly number[];
  readonly losses: readonly number[];
  readonly predictions: readonly number[];
  readonly layers: readonly Layer[];
  readonly seconds: number;
}

export async function studyNorms(
  model: Model,
  parameters: Parameters,
  digits: Digits,
  onBatch: (samples: number) => void = () => {},
): Promise<NormStudy> {
  const program = await perSample(model, {
    loss: losses.crossEntropy(),
    want: { norms: want.norms(), losses: want.losses(), outputs: want.outputs() },
  });
  const study = { norms: [] as number[], losses: [] as number[], predictions: [] as number[] };
  const byParameter = new Map<string, number[]>(program.parameters.map((name) => [name, []]));
  const start = performance.now();
  for (const batch of miniBatches(digits, { size: 256 })) {
    const found = await program.run(batch, { parameters });
    study.norms.push(...found.norms.total.data);
    study.losses.push(...found.losses.data);
    study.predictions.push(...predictions(outputOf(found.outputs)));
    for (const [name, { data }] of Object.entries(found.norms.parameters)) byParameter.get(name)?.push(...data);
    onBatch(batch.target.data.length);
  }
  const seconds = (performance.now() - start) / 1000;
  return { ...study, layers: layersOf(parameters, byParameter, study.norms), seconds };
}

/** Each layer's mean part of the squared norm. A digit whose gradient is 0 has no parts, and does not count. */
export function layersOf(
  parameters: Parameters,
  byParameter: ReadonlyMap<string, readonly number[]>,
  total: readonly number[],
): Layer[] {
  const counted = total.filter((norm) => norm > 0).length;
  const found = new Map<string, { elements: number; share: number }>();
  for (const [name, norms] of byParameter) {
    const { elements, share } = found.get(layerOf(name)) ?? { elements: 0, share: 0 };
    const parts = norms.map((norm, n) => (total[n] ? (norm / total[n]) ** 2 : 0));
    found.set(layerOf(name), {
      elements: elements + (parameters[name]?.data.length ?? 0),
      share: share + parts.reduce((sum, part) => sum + part, 0) / Math.max(1, counted),
    });
  }
  return [...found].map(([layer, sums]) => ({ name: layerNames[layer] ?? layer, ...sums }));
}
