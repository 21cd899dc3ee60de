/** Models exported from PyTorch: decoded, encoded again, and run. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it, type TestContext } from "vitest";
import { batchOver } from "../../src/autodiff/vmap.js";
import { PergradError } from "../../src/errors.js";
import { bindShape, isBatch } from "../../src/graph/dim.js";
import type { Model } from "../../src/graph/model.js";
import { decodeSafetensors } from "../../src/io/safetensors.js";
import { decodeModel } from "../../src/onnx/read/decode.js";
import { modelOf } from "../../src/onnx/read/model-of.js";
import { encodeModel } from "../../src/onnx/write/encode.js";
import { programOf } from "../../src/onnx/write/model-program.js";
import { build } from "../../src/ops/registry.js";
import { nodeRuntime } from "../../src/target/onnxruntime/node.js";
import { sizeOf, type Tensor } from "../../src/tensor/tensor.js";
import { relativeError } from "./compare.js";
import { encoded, expectedOutput } from "./models.js";

const folder = fileURLToPath(new URL("../goldens/", import.meta.url));
const cases = readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);

function tensorsOf(name: string, file: string): ReadonlyMap<string, Tensor> {
  return decodeSafetensors(readFileSync(`${folder}${name}/${file}`), file).tensors;
}

/** Skips a model whose operators pergrad does not know yet. */
function decodeOrSkip(name: string, context: TestContext): Model {
  try {
    return modelOf(readFileSync(`${folder}${name}/model.onnx`), name, {});
  } catch (error) {
    if (error instanceof PergradError && error.code === "UNSUPPORTED_OP") context.skip(error.message);
    throw error;
  }
}

/**
 * ONNX Runtime multiplies no matrix with an empty batch of matrices, its recurrent kernels and TopK crash on an empty batch, and
 * its ArgMax, ReduceSum and ReduceLogSumExp without kept axes (1.32) give another shape of one.
 */
const refusesEmptyBatch = new Set([
  "dft_trained_window",
  "param_on_left",
  "gru",
  "lstm",
  "rnn_tanh",
  "arange_last_step_dynamo",
  "arange_eot_pool",
  "siamese_concat_batch",
  "folded_path_lost_dynamo",
  "attention_opset23_masked_rows",
  "crf_forbidden_transitions",
  "joined_batch_stacked",
  "joined_batch_viewed",
  "resize_area_down",
  "resize_bicubic_down",
  "selective_scan",
  "shuffle_and_back",
  "sort_masked",
  "topk_masked",
  "experts_topk_gate",
  "last_token_rightmost_unfolded",
  "packed_lstm_unsorted",
]);

/** Every input's samples repeated `times` times (0: an empty batch). */
function repeated({ graph }: Model, data: ReadonlyMap<string, Tensor>, times: number): Record<string, Tensor> {
  const feeds = graph.inputs.map((input): [string, Tensor] => {
    const { dtype, dims, data: once } = data.get(input.name) as Tensor<"float32">;
    const length = once.length * times;
    const many = new (once.constructor as Float32ArrayConstructor)(length);
    for (let i = 0; i < length; i++) many[i] = once[i % once.length] as number;
    return [input.name, { dtype, dims: [(dims[0] as number) * times, ...dims.slice(1)], data: many }];
  });
  return Object.fromEntries(feeds);
}

/**
 * One's Conv is in float64, for which ONNX Runtime has no kernel (sample-convolution.test.ts has the like); of the other
 * the runtime pools minus infinities to the lowest float (programs do not: infinite-pools.test.ts).
 */
const notInRuntime = new Set(["modulated_conv_groups", "max_pool_minus_infinity"]);

describe.each(cases.filter((name) => !notInRuntime.has(name)))("%s", (name) => {
  it("computes the expected output after decoding and encoding, at every batch size", async (context) => {
    const model = decodeOrSkip(name, context);
    const output = model.graph.outputs[0];
    const data = tensorsOf(name, "data.safetensors");
    const expected = output && (await expectedOutput(name, output.name));
    if (!output || !expected) throw new Error("the case is incomplete");
    const bytes = encodeModel(programOf(model));
    const session = await nodeRuntime.load(bytes, { threads: 1 });
    const samples = expected.dims[0] as number;
    for (const times of refusesEmptyBatch.has(name) ? [1, 3] : [1, 0, 3]) {
      const found = (await session.run(repeated(model, data, times)))[output.name] as Tensor;
      expect(found.dims).toEqual([samples * times, ...expected.dims.slice(1)]);
      expect(found.dims).toEqual(bindShape(output.value.shape, samples * times));
      for (let part = 0; part < times; part++) {
        const size = sizeOf(expected.dims);
        const slice = { ...found, data: found.data.slice(part * size, (part + 1) * size) } as Tensor;
        expect(relativeError(slice, expected)).toBeLessThan(1e-5);
      }
    }
    await session.release();
  });

  it("gives the same graph when it is read back", (context) => {
    const model = decodeOrSkip(name, context);
    const bytes = encoded(model);
    const again = decodeModel(bytes, { fileName: "again", build, batchOver });
    const shape = ({ graph }: Model) => ({
      inputs: graph.inputs.map(({ name: own, dtype, shape }) => ({ own, dtype, shape })),
      parameters: graph.parameters
        .map(({ name: own, shape }) => ({ own, shape }))
        .sort((a, b) => (a.own < b.own ? -1 : 1)),
      outputs: graph.outputs.map(({ name: own, value }) => ({ own, shape: value.shape })),
    });
    expect(shape(again)).toEqual(shape(model));
    expect(again.parameters).toEqual(model.parameters);
    expect(model.graph.inputs.every((input) => isBatch(input.shape[0]))).toBe(true);
  });
});
