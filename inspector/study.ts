/** The measurements for each sample. */
import { type Model, type Program, perSample, type Tensor, type Workers, want } from "../src/index.js";
import type { LossName } from "../src/nn/as-loss.js";
import { pickSamples } from "../src/tensor/take-samples.js";
import { classesIn, classesOf } from "./classes.js";
import type { Work } from "./work.js";

export type Feeds = Readonly<Record<string, Tensor>>;

/** What is known about the first `samples` samples: all arrays have this length. */
export interface Study {
  readonly samples: number;
  /** The number of samples that are to be measured. */
  readonly total: number;
  readonly norms: Float32Array;
  readonly losses: Float32Array;
  readonly byParameter: ReadonlyMap<string, Float32Array>;
  /** The class with the largest output, if the model's first output is `[N, classes]`. */
  readonly predicted: Int32Array | null;
  /** The class in the target, if that holds one class for each sample. */
  readonly classes: Int32Array | null;
  readonly milliseconds: number;
}

const wants = { norms: want.norms(), losses: want.losses(), outputs: want.outputs() };

/** A program whose worker has ended: it can still explain itself and return its file. */
export type Ended = Pick<Program<typeof wants>, "explain" | "encode">;

export interface Told {
  readonly signal: AbortSignal;
  /** Called with the results so far, at first for few samples. */
  readonly onPart: (study: Study) => void;
  /** Where the program is compiled and run; `true`: in the program's own worker. */
  readonly worker: Workers | true;
}

/** Samples at a time: few, so that the first results appear soon. */
const chunkSize = 64;

/** The loss of every sample and the norms of its gradient, compiled and measured in a worker of the page. */
export async function study(
  model: Model,
  feeds: Feeds,
  loss: LossName,
  { signal, onPart, worker }: Told,
): Promise<{ readonly study: Study; readonly program: Ended }> {
  const measuring = new Measuring(model, feeds, performance.now());
  const program = await perSample(model, { loss, want: wants, workers: worker, signal });
  try {
    for await (const { from, results } of program.stream(feeds, { signal, chunkSize })) {
      measuring.add(from, results);
      onPart(measuring.found);
    }
    return { study: measuring.found, program };
  } finally {
    await program.release();
  }
}

type Measured = Awaited<ReturnType<Program<typeof wants>["run"]>>;

/** The measurements so far. */
class Measuring {
  readonly #total: number;
  readonly #norms: Float32Array;
  readonly #losses: Float32Array;
  readonly #byParameter = new Map<string, Float32Array>();
  readonly #predicted: Int32Array | null;
  readonly #classes: Int32Array | null;
  readonly #output: string | undefined;
  #samples = 0;

  constructor(
    model: Model,
    feeds: Feeds,
    private readonly began: number,
  ) {
    const [output] = model.graph.outputs;
    this.#total = samplesOf(model, feeds);
    this.#norms = new Float32Array(this.#total);
    this.#losses = new Float32Array(this.#total);
    this.#output = output?.name;
    this.#predicted = output?.value.shape.length === 2 ? new Int32Array(this.#total) : null;
    this.#classes = classesIn(feeds.target, this.#total, classesOf(model));
  }

  /** @param from the number of the first sample */
  add(from: number, { norms, losses, outputs }: Measured): void {
    this.#norms.set(norms.total.data, from);
    this.#losses.set(losses.data, from);
    for (const [name, { data }] of Object.entries(norms.parameters)) {
      const all = this.#byParameter.get(name) ?? new Float32Array(this.#total);
      all.set(data, from);
      this.#byParameter.set(name, all);
    }
    const scores = this.#output === undefined ? undefined : outputs[this.#output];
    if (scores) this.#predicted?.set(largestOf(scores), from);
    this.#samples = from + losses.data.length;
  }

  get found(): Study {
    const samples = this.#samples;
    return {
      samples,
      total: this.#total,
      norms: this.#norms.subarray(0, samples),
      losses: this.#losses.subarray(0, samples),
      byParameter: new Map([...this.#byParameter].map(([name, values]) => [name, values.subarray(0, samples)])),
      predicted: this.#predicted?.subarray(0, samples) ?? null,
      classes: this.#classes?.subarray(0, samples) ?? null,
      milliseconds: performance.now() - this.began,
    };
  }
}

export function samplesOf({ sampleAxes }: Model, feeds: Feeds): number {
  const [name, axis] = Object.entries(sampleAxes).find(([, each]) => each !== null) ?? [];
  return (name !== undefined && feeds[name]?.dims[axis ?? 0]) || 0;
}

/** For each row, the position of its largest number. */
function largestOf({ dims: [rows = 0, width = 0], data }: Tensor): number[] {
  return Array.from({ length: rows }, (_, n) => {
    let best = 0;
    for (let k = 1; k < width; k++) if (Number(data[n * width + k]) > Number(data[n * width + best])) best = k;
    return best;
  });
}

/**
 * For each sample, how much a step along its gradient lowers the loss of one chosen sample: the inner product of both
 * gradients. Workers of the page compute it.
 */
export async function taught(
  model: Model,
  feeds: Feeds,
  loss: LossName,
  query: number,
  work: Pick<Work, "signal" | "reached">,
): Promise<Float64Array> {
  const { signal } = work;
  const options = { loss, workers: true, signal } as const;
  const one = Object.entries(feeds).map(([name, each]) => {
    const axis = name === "target" ? 0 : (model.sampleAxes[name] ?? null);
    return [name, axis === null ? each : pickSamples(each, axis, [query])] as const;
  });
  const gradient = await gradientOf(model, Object.fromEntries(one), options);
  const program = await perSample(model, { ...options, want: { scores: want.dot() } });
  const scores = new Float64Array(samplesOf(model, feeds));
  try {
    const vectors = { scores: gradient };
    for await (const { from, results } of program.stream(feeds, { signal, chunkSize, vectors })) {
      const { data } = results.scores.total;
      scores.set(data, from);
      work.reached((from + data.length) / scores.length);
    }
    return scores;
  } finally {
    await program.release();
  }
}

async function gradientOf(
  model: Model,
  sample: Feeds,
  options: { readonly loss: LossName; readonly workers: true; readonly signal: AbortSignal },
) {
  const program = await perSample(model, { ...options, want: { gradient: want.sum() } });
  try {
    return (await program.run(sample, { signal: options.signal })).gradient;
  } finally {
    await program.release();
  }
}
