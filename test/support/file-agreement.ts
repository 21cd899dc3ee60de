/**
 * A file read, and compared with itself: the graph that it becomes gives what ONNX Runtime gives for the file, with all
 * samples together and with each alone, and a program's gradients are those of the float64 loop.
 */
import { expect } from "vitest";
import { Oracle } from "../../src/check/oracle.js";
import { objectiveOf } from "../../src/compile/objective.js";
import { losses } from "../../src/nn/losses.js";
import type { LoadOptions } from "../../src/onnx/read/load-options.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import { perSample } from "../../src/program/per-sample.js";
import { takeSamples } from "../../src/tensor/take-samples.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { want } from "../../src/wants/want.js";
import { relativeError } from "../onnx/compare.js";
import { encoded, floats, refusal, run } from "../onnx/models.js";
import { expectClose } from "./per-sample.js";

type Feeds = Readonly<Record<string, Tensor>>;

const firstOf = async (bytes: Uint8Array, feeds: Feeds, name: string) => (await run(bytes, feeds))[name] as Tensor;

/** Numbers with no pattern, of an output's shape. */
function targetLike({ dims, data }: Tensor): Tensor<"float32"> {
  return floats(dims, ...Array.from({ length: data.length }, (_, i) => Math.sin(7 * i + 2)));
}

/** What a file gives once it is read. */
export async function outputOf(bytes: Uint8Array, feeds: Feeds): Promise<number[]> {
  const model = modelOf(bytes, "m.onnx", {});
  return [...((await firstOf(encoded(model), feeds, model.graph.outputs[0]?.name ?? "")) as Tensor<"float32">).data];
}

export interface FileCase {
  readonly bytes: Uint8Array;
  readonly feeds: Feeds;
  readonly samples: number;
  /** The only number of samples that the file itself runs with. */
  readonly fixed?: number;
  readonly options?: LoadOptions;
}

/** Throws where a file is refused, or gives anything else than itself. */
export async function expectAgreement({ bytes, feeds, samples, fixed, options = {} }: FileCase): Promise<void> {
  const model = modelOf(bytes, "m.onnx", options);
  const name = model.graph.outputs[0]?.name ?? "";
  const found = await firstOf(encoded(model), feeds, name);
  const runs = (count: number) => fixed === undefined || fixed === count;
  const together = !runs(samples) ? found : await firstOf(bytes, feeds, name);
  expect(found.dims).toEqual(together.dims);
  if (found.data.length > 0) expect(relativeError(found, together)).toBeLessThan(1e-5);
  const alone = (n: number) =>
    Object.fromEntries(
      Object.entries(feeds).map(([input, tensor]) => {
        const axis = model.sampleAxes[input] ?? null;
        return [input, axis === null ? tensor : takeSamples(tensor, axis, n, n + 1)];
      }),
    );
  for (let n = 0; n < samples && runs(1); n++) {
    const own = await firstOf(bytes, alone(n), name);
    expect(relativeError(own, takeSamples(together, 0, n, n + 1))).toBeLessThan(1e-5);
  }
  await expectGradients(model, feeds, targetLike(together), samples);
}

async function expectGradients(model: ReturnType<typeof modelOf>, feeds: Feeds, target: Tensor, samples: number) {
  const data = { ...feeds, target };
  const options = {
    loss: losses.mse(),
    target: { dtype: target.dtype, shape: ["N" as const, ...target.dims.slice(1)] },
  };
  const program = await perSample(model, {
    ...options,
    want: { gradients: want.gradients(), norms: want.norms(), clipped: want.clippedSum({ maxNorm: 0.1 }) },
  });
  const { gradients, norms, clipped } = await program.run(data);
  await program.release();
  const oracle = new Oracle(objectiveOf(model, options), data);
  const loop = Array.from({ length: samples }, (_, n) => oracle.sample(n).gradients);
  const totals = loop.map((sample) =>
    Math.sqrt([...sample.values()].flatMap((one) => [...one]).reduce((sum, x) => sum + x * x, 0)),
  );
  expectClose(norms.total.data, totals, 1e-4, "norms", 1e-6);
  for (const parameter of Object.keys(gradients)) {
    const rows = loop.map((sample) => sample.get(parameter) as Float64Array);
    const all = rows.flatMap((row) => [...row]);
    expectClose(gradients[parameter]?.data ?? [], all, 1e-4, parameter, 1e-6);
    const sum = Array.from(rows[0] ?? [], (_, i) =>
      rows.reduce((acc, row, n) => acc + Math.min(1, 0.1 / (totals[n] as number)) * (row[i] as number), 0),
    );
    if (samples > 0) expectClose(clipped.sum[parameter]?.data ?? [], sum, 1e-4, `clipped ${parameter}`, 1e-6);
  }
}

/** Why a file is refused, when it is read or when its loss is taken; "no error" where it is not. */
export function refusalOf(bytes: Uint8Array, options: LoadOptions = {}): string {
  return refusal(() => {
    const model = modelOf(bytes, "m.onnx", options);
    objectiveOf(model, { loss: losses.mse() });
  });
}
