/** The cost of per-sample results: four ways over the same batch, taking turns, on ONNX Runtime. */
import { interleave, timed } from "../../bench/measure.js";
import { losses, type Model, perSample, type Want, want } from "../../src/index.js";
import { miniBatches, type Parameters } from "../../src/train/index.js";
import { countOf, type Digits } from "./data.js";

export interface Time {
  readonly name: string;
  readonly milliseconds: number;
  /** The time as a multiple of the plain mean gradient's time. */
  readonly ratio: number;
}

export interface Timings {
  readonly samples: number;
  readonly rounds: number;
  readonly times: readonly Time[];
  /** Largest difference between the loop's norms and the norms program's, relative to the largest norm. */
  readonly difference: number;
}

type Single = { readonly x: Digits["x"]; readonly target: Digits["target"] };

function normOf(gradients: Parameters): number {
  let sum = 0;
  for (const { data } of Object.values(gradients)) for (const value of data) sum += value * value;
  return Math.sqrt(sum);
}

/** Largest difference of two lists, relative to the largest element of the first. */
export function relativeDifference(wanted: ArrayLike<number>, found: ArrayLike<number>): number {
  if (wanted.length !== found.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  let difference = 0;
  for (let n = 0; n < wanted.length; n++) {
    largest = Math.max(largest, Math.abs(wanted[n] as number));
    difference = Math.max(difference, Math.abs((wanted[n] as number) - (found[n] as number)));
  }
  return difference === 0 ? 0 : difference / largest;
}

/**
 * @param onProgress is called with the share of the time that has passed, 0 to 1
 */
export async function timeBatch(
  model: Model,
  parameters: Parameters,
  batch: Digits,
  seconds: number,
  onProgress: (part: number) => void = () => {},
): Promise<Timings> {
  const compile = <R>(each: Want<R>) => perSample(model, { loss: losses.crossEntropy(), want: { result: each } });
  const mean = await compile(want.mean());
  const norms = await compile(want.norms());
  const gradients = await compile(want.gradients());
  const singles: Single[] = [...miniBatches(batch, { size: 1 })];
  const options = { parameters };
  const loopNorms: number[] = [];
  for (const single of singles) loopNorms.push(normOf((await mean.run(single, options)).result));
  const found = (await norms.run(batch, options)).result.total.data;

  const loop = async () => {
    for (const single of singles) await mean.run(single, options);
  };
  const measured = await interleave(
    [
      timed("plain mean gradient", () => mean.run(batch, options)),
      timed("every digit's norm", () => norms.run(batch, options)),
      timed("every digit's gradient", () => gradients.run(batch, options)),
      timed("naive loop, one digit at a time", loop),
    ],
    seconds,
    onProgress,
  );
  const plain = measured[0]?.median ?? Number.NaN;
  const times = measured.map(({ name, median }) => ({ name, milliseconds: median, ratio: median / plain }));
  return {
    samples: countOf(batch),
    rounds: measured[0]?.rounds ?? 0,
    times,
    difference: relativeDifference(loopNorms, found),
  };
}
