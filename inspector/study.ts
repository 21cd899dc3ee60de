/** What is measured of each sample. */
import { attribution, type Model, perSample, type Tensor, want } from "../src/index.js";
import type { LossName } from "../src/nn/as-loss.js";
import { pickSamples } from "../src/tensor/take-samples.js";

export type Feeds = Readonly<Record<string, Tensor>>;

export interface Study {
  readonly samples: number;
  /** `[N]`, all of them. */
  readonly norms: Float32Array;
  readonly losses: Float32Array;
  readonly byParameter: ReadonlyMap<string, Float32Array>;
  /** The class with the largest output, where the model's first output is `[N, classes]`. */
  readonly predicted: Int32Array | null;
  /** Of the target, where it holds one class for each sample. */
  readonly classes: Int32Array | null;
  readonly plan: string;
  readonly program: Uint8Array | null;
  readonly milliseconds: number;
}

export interface Told {
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void;
}

/** The loss of every sample and the norms of its gradient, in a worker of the page. */
export async function study(model: Model, feeds: Feeds, loss: LossName, { signal, onProgress }: Told): Promise<Study> {
  const [output] = model.graph.outputs;
  const isClassifier = output?.value.shape.length === 2 && model.graph.outputs.length > 0;
  const wants = { norms: want.norms(), losses: want.losses(), outputs: want.outputs() };
  const began = performance.now();
  const program = await perSample(model, { loss, want: wants, workers: true });
  try {
    const [norms, losses, predicted]: [number[], number[], number[]] = [[], [], []];
    const byParameter = new Map<string, number[]>(program.parameters.map((name) => [name, []]));
    const samples = samplesOf(model, feeds);
    const progress = ({ samples: done }: { readonly samples: number }) => onProgress(done, samples);
    for await (const { results } of program.stream(feeds, { signal, onProgress: progress })) {
      norms.push(...results.norms.total.data);
      losses.push(...results.losses.data);
      for (const [name, { data }] of Object.entries(results.norms.parameters)) byParameter.get(name)?.push(...data);
      const scores = output && results.outputs[output.name];
      if (isClassifier && scores) predicted.push(...largestOf(scores));
    }
    return {
      samples: norms.length,
      norms: Float32Array.from(norms),
      losses: Float32Array.from(losses),
      byParameter: new Map([...byParameter].map(([name, values]) => [name, Float32Array.from(values)])),
      predicted: isClassifier ? Int32Array.from(predicted) : null,
      classes: classesIn(feeds.target, norms.length),
      plan: String(program.explain()),
      program: encoded(() => program.encode()),
      milliseconds: performance.now() - began,
    };
  } finally {
    // Ends the worker too, which gives back all of its memory.
    await program.release();
  }
}

/** A program whose weights are too large for one file cannot be offered as a download. */
function encoded(encode: () => Uint8Array): Uint8Array | null {
  try {
    return encode();
  } catch {
    return null;
  }
}

export function samplesOf({ sampleAxes }: Model, feeds: Feeds): number {
  const [name, axis] = Object.entries(sampleAxes).find(([, each]) => each !== null) ?? [];
  return (name !== undefined && feeds[name]?.dims[axis ?? 0]) || 0;
}

/** Of each row, the place of its largest number. */
function largestOf({ dims: [rows = 0, width = 0], data }: Tensor): number[] {
  return Array.from({ length: rows }, (_, n) => {
    let best = 0;
    for (let k = 1; k < width; k++) if (Number(data[n * width + k]) > Number(data[n * width + best])) best = k;
    return best;
  });
}

function classesIn(target: Tensor | undefined, samples: number): Int32Array | null {
  if (target?.dtype !== "int64" || target.data.length !== samples) return null;
  return Int32Array.from(target.data, Number);
}

/** For each sample, how much a step along its gradient lowers the loss of one of them. */
export async function taught(model: Model, feeds: Feeds, loss: LossName, query: number): Promise<Float64Array> {
  const one = Object.entries(feeds).map(([name, each]) => {
    const axis = name === "target" ? 0 : (model.sampleAxes[name] ?? null);
    return [name, axis === null ? each : pickSamples(each, axis, [query])] as const;
  });
  const { scores } = await attribution.scores(model, feeds, Object.fromEntries(one), { loss, method: "gradDot" });
  return scores.data;
}
