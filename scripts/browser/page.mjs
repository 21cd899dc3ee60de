// What must hold in a browser: numbers, half precision, streams, workers, training, private training, blobs. Packed by
// esbuild as a page of a user's would be, and run by test.mjs, which asks for `results`.
import {
  check,
  loadModel,
  losses,
  nn,
  openProgram,
  perSample,
  saveModel,
  sgd,
  tensor,
  toFloat32,
  train,
  trainPrivately,
  want,
  workers,
} from "pergrad";

const samples = 6;
const numbers = Float32Array.from({ length: 3 * samples }, (_, k) => Math.sin(1 + k));
const labels = BigInt64Array.from({ length: samples }, (_, n) => BigInt(n % 2));
const data = () => ({
  x: tensor("float32", [samples, 3], numbers.slice()),
  target: tensor("int64", [samples], labels.slice()),
});
const network = () => nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 2)), { seed: 1 });
const loss = losses.crossEntropy();
const wants = { gradients: want.gradients(), norms: want.norms(), sum: want.clippedSum({ maxNorm: 0.1 }) };

function require(condition, what) {
  if (!condition) throw new Error(what);
}

function requireClose(a, b, bound, what) {
  require(a.length === b.length, `${what}: ${a.length} numbers, not ${b.length}`);
  for (const [k, y] of b.entries())
    require(Math.abs(a[k] - y) <= bound * Math.max(1, Math.abs(y)), `${what}: ${a[k]}, not ${y}`);
}

async function codeOf(action) {
  try {
    await action();
  } catch (error) {
    return error.code ?? String(error);
  }
  return "no error";
}

async function smoke() {
  const model = network();
  const program = await perSample(model, { loss, want: wants });
  const given = data();
  const running = program.run(given);
  given.x.data.fill(9);
  const whole = await running;
  const [name] = Object.keys(whole.gradients);
  const halves = await perSample(model, { loss, want: { gradients: want.gradients({ storage: "float16" }) } });
  const { gradients } = await halves.run(data());
  require(gradients[name].data instanceof Uint16Array, "half precision is handed over as bits");
  requireClose(toFloat32(gradients[name]).data, whole.gradients[name].data, 1e-3, "half precision");
  const parts = [];
  for await (const { results } of program.stream(data(), { chunkSize: 4 })) parts.push(...results.norms.total.data);
  requireClose(parts, whole.norms.total.data, 1e-6, "streamed");
  const opened = await openProgram(program.encode(), { loss, want: wants });
  requireClose((await opened.run(data())).norms.total.data, whole.norms.total.data, 1e-6, "opened");
  const trained = await train(model, data(), { loss, optimizer: sgd({ learningRate: 0.1 }), batchSize: 3, epochs: 2 });
  require(trained.state.steps === 4, "four steps of training");
  const secret = await trainPrivately(model, data(), {
    loss,
    optimizer: sgd({ learningRate: 0.1 }),
    batchSize: 3,
    steps: 3,
    maxNorm: 1,
    noiseMultiplier: 1,
    delta: 1e-5,
  });
  require(secret.private && secret.epsilon > 0 && secret.epsilon < 100, `epsilon ${secret.epsilon}`);
  require((await check(model, data(), { loss })).passed, "check finds no difference");
  const codes = [
    await codeOf(() => saveModel(model, "model.onnx")),
    await codeOf(() => loadModel("not-there.onnx")),
    await codeOf(() => program.stream("data.safetensors").next()),
  ];
  require(codes.join() === "FILE_UNWRITABLE,FILE_UNREADABLE,FILE_UNREADABLE", codes.join());
  for (const each of [program, halves, opened]) await each.release();
  return { norms: Array.from(whole.norms.total.data), gradients: Array.from(whole.gradients[name].data) };
}

async function inWorkers() {
  const pool = workers({ count: 2 });
  const program = await perSample(network(), { loss, want: wants, workers: pool });
  const { norms } = await program.run(data());
  const aborted = new AbortController();
  aborted.abort();
  require((await codeOf(() => program.stream(data(), { signal: aborted.signal }).next())) !== "no error", "aborted");
  await pool.release();
  require((await codeOf(() => program.run(data()))) === "RUNTIME", "a released pool runs no more");
  return Array.from(norms.total.data);
}

/** The tensors of a safetensors file: eight bytes that say how long the header is, the header, the data. */
async function tensorsAt(address) {
  const bytes = await (await fetch(address)).arrayBuffer();
  const start = 8 + Number(new DataView(bytes).getBigUint64(0, true));
  const { __metadata__, ...header } = JSON.parse(new TextDecoder().decode(bytes.slice(8, start)));
  return Object.fromEntries(
    Object.entries(header).map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        const own = bytes.slice(start + from, start + to);
        return [name, dtype === "I64" ? tensor("int64", shape, new BigInt64Array(own)) : floats(shape, own)];
      },
    ),
  );
}

const floats = (shape, own) => tensor("float32", shape, new Float32Array(own));

/** How much the results of a model that is served differ from those that are served, at most, of the largest number. */
async function ofModel({ id, maxNorm }) {
  const answer = await fetch(`/${id}/model.onnx`);
  const model = await loadModel(id.length % 2 === 0 ? answer : await answer.blob());
  const own = { norms: want.norms(), gradients: want.gradients(), sum: want.clippedSum({ maxNorm }) };
  const program = await perSample(model, { loss, want: own });
  const { norms, gradients, sum } = await program.run(await tensorsAt(`/${id}/data.safetensors`));
  await program.release();
  const prefixed = (prefix, named) => Object.entries(named).map(([name, each]) => [`${prefix} ${name}`, each]);
  const found = Object.fromEntries([
    ["norms", norms.total],
    ...prefixed("gradient", gradients),
    ...prefixed("sum", sum.parameters ?? sum),
  ]);
  const expected = Object.entries(await tensorsAt(`/${id}/expected.safetensors`));
  const errors = expected.map(([name, { data: numbers }]) => difference(found[name]?.data ?? [], numbers));
  return { worst: Math.max(...errors.map((each) => (Number.isNaN(each) ? 1 : each))), compared: errors.length };
}

/** The largest difference over the largest number. */
function difference(found, expected) {
  let [largest, most] = [1e-30, 0];
  for (let k = 0; k < expected.length; k++) {
    largest = Math.max(largest, Math.abs(expected[k]));
    const off = Math.abs(expected[k] - found[k]);
    most = off <= most ? most : off;
  }
  return most / largest;
}

globalThis.pergradTest = { smoke, inWorkers, ofModel };
