// Saves programs, data, and what Node computes and says of them, for the tests in Python: make_programs.mjs FOLDER. Runs on
// the build in dist. Each case is a folder: whole.onnx and inputs.onnx (weights as inputs), weights, data, expected, and
// refused.json with data that Node refuses and its sentences.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { losses, nn, perSample, want, writeTensors } from "../../dist/src/index.js";

const [folder = "."] = process.argv.slice(2);
const samples = 30;

const elements = (dims) => dims.reduce((a, b) => a * b, 1);
const numbers = (dims, step) => ({
  dtype: "float32",
  dims,
  data: Float32Array.from({ length: elements(dims) }, (_, k) => Math.sin(step * (k + 1))),
});
const integers = (dims, below, dtype = "int64") => {
  const data = Array.from({ length: elements(dims) }, (_, k) => (7 * k + 3 + Math.floor(k / below)) % below);
  return { dtype, dims, data: dtype === "int64" ? BigInt64Array.from(data, BigInt) : Int32Array.from(data) };
};

const floats = (...shape) => ({ input: { x: { shape: ["N", ...shape], dtype: "float32" } }, seed: 1 });
const tokens = (...shape) => ({ input: { x: { shape: ["N", ...shape], dtype: "int64" } }, seed: 1 });
const words = nn.embedding(11, 6);
const conv = nn.conv2d(1, 16, 3, { padding: 1 });

/** By name: the model, its inputs for all samples, and the loss. */
const cases = {
  perceptron: {
    model: () => nn.model(nn.sequential(nn.linear(5, 7), nn.gelu(), nn.layerNorm(7), nn.linear(7, 4)), floats(5)),
    data: { x: numbers([samples, 5], 1.3), target: integers([samples], 4) },
  },
  curvature: {
    model: () => nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 3)), floats(3)),
    data: { x: numbers([samples, 3], 1.3), target: integers([samples], 3) },
    curvature: true,
  },
  regression: {
    model: () => nn.model(nn.sequential(nn.linear(5, 7), nn.tanh(), nn.linear(7, 2)), floats(5)),
    data: { x: numbers([samples, 5], 1.3), target: numbers([samples, 2], 0.4) },
    loss: losses.mse(),
  },
  language: {
    model: () => nn.model(nn.sequential(words, nn.linear(6, 6), nn.silu(), nn.tied(words)), tokens(3)),
    data: { x: integers([samples, 3], 11), target: integers([samples, 3], 11) },
    loss: losses.crossEntropy({ ignoreIndex: -100 }),
  },
  convolutional: {
    model: () =>
      nn.model(
        nn.sequential(
          conv,
          nn.relu(),
          nn.maxPool2d(2),
          nn.conv2d(16, 16, 3),
          nn.relu(),
          nn.flatten(),
          nn.linear(256, 10),
        ),
        floats(1, 12, 12),
      ),
    data: { x: numbers([samples, 1, 12, 12], 0.7), target: integers([samples], 10) },
  },
  recurrent: {
    model: () =>
      nn.trace(
        { x: { shape: ["N", 6, 3], dtype: "float32" } },
        { lstm: nn.lstm(3, 5), head: nn.linear(5, 4) },
        ({ x }, { lstm, head }) => ({ output: head(lstm(x)).mean([1]) }),
      ),
    data: { x: numbers([samples, 6, 3], 0.9), target: integers([samples], 4) },
  },
  attention: {
    model: () =>
      nn.model(
        nn.sequential(
          nn.embedding(13, 8),
          nn.transformerEncoderLayer(8, 2, { causal: true, feedForward: 16 }),
          nn.linear(8, 13),
        ),
        tokens(5),
      ),
    data: { x: integers([samples, 5], 13), target: integers([samples, 5], 13) },
  },
};

const wantsOf = (model, curvature) => ({
  losses: want.losses(),
  outputs: want.outputs(),
  norms: want.norms(),
  gradients: want.gradients(),
  halves: want.gradients({ storage: "float16" }),
  sum: want.sum(),
  mean: want.mean(),
  clipped: want.clippedSum({ maxNorm: 0.5, adjustable: true }),
  byParameter: want.clippedSum({ maxNorm: Object.fromEntries(Object.keys(model.parameters).map((p) => [p, 0.1])) }),
  projection: want.project({ dims: 16, seed: 3 }),
  dot: want.dot(model.parameters),
  moments: want.moments(),
  ...(curvature
    ? {
        hvp: want.hvp({ vector: model.parameters }),
        ggn: want.ggnProduct({ vector: model.parameters }),
        diagonal: want.ggnDiagonal(),
        drawn: want.ggnDiagonal({ probes: 1, seed: 2, mean: true }),
        trace: want.trace(),
        jacobian: want.jacobian(),
        factors: want.kroneckerFactors({ kind: "empirical" }),
      }
    : {}),
});

/** Tensors by the path at which they are in results. */
function tensorsIn(results, path = "") {
  if (ArrayBuffer.isView(results.data)) return [[path, results]];
  return Object.entries(results).flatMap(([name, each]) => tensorsIn(each, path ? `${path}|${name}` : name));
}
const writable = ({ dtype, ...tensor }) =>
  dtype === "float16"
    ? {
        ...tensor,
        dtype: "uint16",
        data: new Uint16Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.length),
      }
    : { dtype, ...tensor };

function changed(tensor, at, value) {
  const data = tensor.data.slice();
  data[at] = typeof data[at] === "bigint" ? BigInt(value) : value;
  return { ...tensor, data };
}

/** Data that must be refused. */
function* faulty({ x, target }) {
  const labels = target.dtype === "int64";
  const width = elements(target.dims.slice(1));
  if (labels) {
    yield ["label -1", { x, target: changed(target, 3 * width, -1) }];
    yield ["label too large", { x, target: changed(target, 4 * width + (width - 1), 500) }];
    yield ["labels of floats", { x, target: numbers(target.dims, 1) }];
  } else yield ["target NaN", { x, target: changed(target, 7, Number.NaN) }];
  if (x.dtype === "int64") {
    yield ["token -1", { x: changed(x, 2 * elements(x.dims.slice(1)), -1), target }];
    yield ["token too large", { x: changed(x, 17, 99), target }];
    yield ["tokens of floats", { x: numbers(x.dims, 1), target }];
  } else {
    yield ["NaN", { x: changed(x, 5 * elements(x.dims.slice(1)) + 1, Number.NaN), target }];
    yield ["infinity", { x: changed(x, 0, Number.POSITIVE_INFINITY), target }];
    yield ["whole numbers", { x: integers(x.dims, 5, "int32"), target }];
  }
  const wider = [...x.dims.slice(0, -1), x.dims.at(-1) + 1];
  yield ["wider", { x: x.dtype === "int64" ? integers(wider, 3) : numbers(wider, 1), target }];
  yield ["one axis more", { x: { ...x, dims: [...x.dims, 1] }, target }];
  const first = elements(target.dims.slice(1));
  yield [
    "fewer targets",
    { x, target: { ...target, dims: [1, ...target.dims.slice(1)], data: target.data.slice(0, first) } },
  ];
  yield ["no target", { x }];
  yield ["another input", { x, target, y: x }];
}

async function refused(program, data, own) {
  const found = [];
  for (const [name, bad] of faulty(data)) {
    const error = await program.run(bad).then(
      () => null,
      (thrown) => thrown,
    );
    if (!error) throw new Error(`Node does not refuse ${name}`);
    const file = `refused-${found.length}.safetensors`;
    await writeTensors(join(own, file), bad);
    found.push({ name, file, code: error.code, message: error.message });
  }
  writeFileSync(join(own, "refused.json"), JSON.stringify(found, null, 1));
}

for (const [name, { model: make, data, loss = losses.crossEntropy(), curvature = false }] of Object.entries(cases)) {
  const own = join(folder, name);
  mkdirSync(own, { recursive: true });
  const model = make();
  const program = await perSample(model, { loss, want: wantsOf(model, curvature) });
  await program.save(join(own, "whole.onnx"), { for: "onnxruntime" });
  await program.save(join(own, "inputs.onnx"), { for: "onnxruntime", weights: "inputs" });
  await writeTensors(join(own, "weights.safetensors"), model.parameters);
  await writeTensors(join(own, "data.safetensors"), data);
  const results = tensorsIn(await program.run(data, { maxNorms: { clipped: 0.3 } }));
  await writeTensors(
    join(own, "expected.safetensors"),
    Object.fromEntries(results.map(([at, tensor]) => [at, writable(tensor)])),
  );
  await refused(program, data, own);
  await program.release();
}

// Programs that cannot be split, that another batch belongs to, and that is of another version.
const { model: make, data } = cases.perceptron;
const pairs = await perSample(make(), {
  loss: losses.crossEntropy(),
  want: { gram: want.gram(), norms: want.norms() },
});
await pairs.save(join(folder, "gram.onnx"));
await writeTensors(join(folder, "gram.safetensors"), { gram: (await pairs.run(data)).gram });
const cross = await perSample(make(), { loss: losses.crossEntropy(), want: { cross: want.cross(data) } });
await cross.save(join(folder, "cross.onnx"));
await writeTensors(join(folder, "cross.given.safetensors"), await cross.besideData());
await writeTensors(join(folder, "cross.safetensors"), { cross: (await cross.run(data)).cross });
const bytes = Buffer.from(pairs.encode()).toString("latin1");
writeFileSync(join(folder, "other-version.onnx"), bytes.replace('{"version":2', '{"version":9'), "latin1");
writeFileSync(join(folder, "damaged.onnx"), bytes.replace('"results":[', '"resulto":['), "latin1");
// Sums of samples that overflow, one of which does so by itself.
const overflowing = await perSample(make(), { loss: losses.crossEntropy(), want: { sum: want.sum() } });
await overflowing.save(join(folder, "sum.onnx"));
