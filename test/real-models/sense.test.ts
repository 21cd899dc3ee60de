/** The models make sense of what they are shown, and loading and re-batching them changes none of their results. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  classifier,
  dictionary,
  drawn,
  faceDetector,
  lineDetector,
  type RealModel,
  realModels,
  recogniser,
  voiceActivity,
} from "../../bench/real/models.js";
import { spell } from "../../bench/real/text.js";
import type { Value } from "../../src/graph/value.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { simplify } from "../../src/optimise/simplify.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
import { sizeOf, type Tensor } from "../../src/tensor/tensor.js";
import { expectNear, load, sampleOf } from "./support.js";

function inputsOf(data: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(data).filter(([name]) => name !== "target"));
}

/** Scalars that the file takes as inputs, and that the loaded model holds. */
function fixed({ fix = {} }: RealModel): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(fix).map(([name, value]) => [
      name,
      { dtype: "int64", dims: [], data: BigInt64Array.of(BigInt(value)) } as const,
    ]),
  );
}

async function runOnce(bytes: Uint8Array, feeds: Readonly<Record<string, Tensor>>, output: string): Promise<Tensor> {
  const session = await nodeRuntime.load(bytes);
  const { [output]: found } = await session.run(feeds);
  await session.release();
  if (!found) throw new Error(`no output "${output}"`);
  return found;
}

/** The output that the loss looks at, of the whole batch, from the model as it was loaded. */
async function outputOf(real: RealModel): Promise<{ readonly name: string; readonly value: Tensor }> {
  const { graph, parameters } = await load(real);
  const chosen = graph.outputs.find(({ name }) => real.output === undefined || name === real.output);
  if (!chosen) throw new Error(`no output "${real.output}"`);
  const { name } = chosen;
  const value = simplify([chosen.value])[0] as Value;
  const program = encodeModel({ inputs: graph.inputs, parameters, outputs: [{ name, value }] });
  return { name, value: await runOnce(program, inputsOf(real.data), name) };
}

/** The places of the largest elements of sample n. */
function largest({ dims, data }: Tensor, n: number, count: number): number[] {
  const size = sizeOf(dims.slice(1));
  const own = (data as Float32Array).subarray(n * size, (n + 1) * size);
  return [...own.keys()].sort((a, b) => (own[b] ?? 0) - (own[a] ?? 0)).slice(0, count);
}

describe("a batch gives what the file gives for one sample after another", () => {
  for (const make of realModels) {
    const real = make();
    test(real.name, async () => {
      const { name, value } = await outputOf(real);
      const bytes = readFileSync(real.file);
      const size = value.data.length / real.samples;
      for (let n = 0; n < real.samples; n++) {
        const alone = (await runOnce(bytes, { ...inputsOf(sampleOf(real, n)), ...fixed(real) }, name))
          .data as Float32Array;
        const scale = alone.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
        expectNear((value.data as Float32Array).subarray(n * size, (n + 1) * size), alone, scale, `sample ${n}`);
      }
    });
  }
});

test("the classifier tells what is upside down", async () => {
  const { value } = await outputOf(classifier());
  expect([0, 1, 2].map((n) => largest(value, n, 1)[0])).toEqual([0, 1, 0]);
});

test("nobody speaks in faint noise", async () => {
  const { value } = await outputOf(voiceActivity());
  expect(value.data[0]).toBeLessThan(0.3);
});

test("the recogniser reads the text", async () => {
  const { value } = await outputOf(recogniser());
  expect(spell(value, dictionary())).toEqual(["HELLO", "PYTHON", "SAMPLE"]);
});

test("the detector is surest of a face where one is drawn", async () => {
  const { value } = await outputOf(faceDetector());
  const found = [0, 1, 2].map((n) => {
    const cell = (largest(value, n, 1)[0] ?? 0) >> 1;
    return [(cell % 16) + 0.5, Math.floor(cell / 16) + 0.5].map((at) => at / 16);
  });
  const wanted = [
    [0.5, 0.5],
    [0.4, 0.55],
    [0.6, 0.45],
  ];
  found.forEach(([x = 0, y = 0], n) => {
    expect(Math.hypot(x - (wanted[n]?.[0] ?? 0), y - (wanted[n]?.[1] ?? 0))).toBeLessThan(0.12);
  });
});

test("the line detector is surest of the middle of a line", async () => {
  const { value } = await outputOf(lineDetector());
  drawn.forEach((segments, n) => {
    const cell = largest(value, n, 1)[0] ?? 0;
    const [x, y] = [(cell % 160) / 160, Math.floor(cell / 160) / 160];
    const distances = segments.map(([ax, ay, bx, by]) => Math.hypot(x - (ax + bx) / 2, y - (ay + by) / 2));
    expect(Math.min(...distances)).toBeLessThan(0.02);
  });
});
