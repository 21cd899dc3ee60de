// What must hold in a browser: numbers, half precision, streams, workers, training, private training, blobs. esbuild packs
// this file like a user's page; test.mjs runs it and asks for `results`.
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
    require(Object.is(a[k], y) || Math.abs(a[k] - y) <= bound * Math.max(1, Math.abs(y)), `${what}: ${a[k]}, not ${y}`);
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

/** Programs that a worker compiles equal those that the page compiles, for all wants. */
async function compiledInWorkers() {
  const model = nn.model(nn.sequential(nn.linear(3, 4), nn.tanh(), nn.linear(4, 2)), { seed: 1 });
  const vectors = Object.fromEntries(
    Object.entries(model.parameters)
      .filter(([name]) => name.endsWith("weight"))
      .map(([name, each]) => [name, { ...each, data: each.data.map((_, k) => k + 1) }]),
  );
  const all = {
    norms: want.norms(),
    sum: want.clippedSum({ maxNorm: { all: 0.1 }, groups: { all: ["*weight"] } }),
    halves: want.gradients({ storage: "float16" }),
    moments: want.moments(),
    dot: want.dot(vectors),
    cross: want.cross(data()),
    projected: want.project({ dims: 4, seed: 3 }),
    diagonal: want.ggnDiagonal(),
    outputs: want.outputs(),
  };
  const options = { loss: losses.crossEntropy({ labelSmoothing: 0.1 }), want: all, parameters: ["*weight"] };
  const [here, there] = [await perSample(model, options), await perSample(model, { ...options, workers: true })];
  requireSame(await there.run(data()), await here.run(data()), "in a worker");
  require(String(there.explain()) === String(here.explain()), "the plan is another one");
  require(there.memory(7) === here.memory(7), "the memory is another one");
  const pool = workers();
  const pooled = await perSample(model, { ...options, workers: pool });
  require(there.graph() === pooled.graph(), "another graph");
  await pool.release();
  const saved = await openProgram(there.encode(), { ...options, want: { norms: want.norms() } }).catch(
    (error) => error,
  );
  require(saved.code === "INVALID_ARGUMENT", "a saved program has other wants than it says");
  const large = { x: tensor("float32", [600, 3], new Float32Array(1800).fill(0.1)), target: new BigInt64Array(600) };
  const plain = { loss, want: { sum: want.sum(), norms: want.norms() } };
  const many = await perSample(model, { ...plain, workers: 2 });
  const once = await perSample(model, plain);
  requireSame(await many.run(large), await once.run(large), "many samples");
  const wrong = {
    ...data(),
    x: tensor(
      "float32",
      [samples, 3],
      numbers.map((each, k) => (k === 4 ? Number.NaN : each)),
    ),
  };
  const allowed = { allowNotFinite: true, notFinite: "ignore" };
  requireSame(await many.run(wrong, allowed), await once.run(wrong, allowed), "data that is not finite");
  const changed = {
    parameters: Object.fromEntries(
      Object.entries(model.parameters).map(([name, each]) => [
        name,
        { ...each, data: each.data.map((value) => 2 * value) },
      ]),
    ),
  };
  requireSame(await many.run(data(), changed), await once.run(data(), changed), "other parameters");
  const own = {
    loss: (output, target) => output.sub(target).square().sum(1),
    target: { dtype: "float32", shape: ["N", 2] },
  };
  const custom = await perSample(model, { ...own, want: { norms: want.norms() }, workers: true });
  require(/loss is a function of your own/.test(String(custom.explain())), String(custom.explain()));
  const { norms } = await custom.run({ x: data().x, target: new Float32Array(2 * samples) });
  require(norms.total.data.every((norm) => norm > 0), "a loss of one's own");
  const recurrent = nn.model(nn.sequential(nn.lstm(3, 4), nn.linear(4, 2)), { seed: 1, input: { x: ["N", 5, 3] } });
  const steps = {
    x: tensor(
      "float32",
      [2, 5, 3],
      Float32Array.from({ length: 30 }, (_, k) => Math.sin(k)),
    ),
    target: new BigInt64Array(10),
  };
  const shaped = { ...steps, target: tensor("int64", [2, 5], new BigInt64Array(10)) };
  const lstm = { loss, want: { norms: want.norms() } };
  const inLoops = await perSample(recurrent, { ...lstm, workers: true });
  requireSame(await inLoops.run(shaped), await (await perSample(recurrent, lstm)).run(shaped), "an LSTM");
  require((await codeOf(() =>
    perSample(model, { loss: "mse", want: { sum: want.sum() }, target: { shape: ["N", 3] }, workers: true }),
  )) === "SHAPE_MISMATCH", "errors");
  for (const each of [here, there, many, once, custom, inLoops]) await each.release();
}

/** All numbers of two results, by their names. */
function requireSame(found, expected, what) {
  const [all, others] = [found, expected].map((results) => [...tensorsIn("", results)]);
  require(all.length === others.length && all.length > 0, `${what}: ${all.length} tensors, not ${others.length}`);
  for (const [k, [name, each]] of all.entries()) {
    require(name === others[k][0], `${what}: ${name}, not ${others[k][0]}`);
    const [own, other] = [each, others[k][1]].map((one) => (one.dtype === "float16" ? toFloat32(one) : one).data);
    requireClose(own, other, 1e-5, `${what}: ${name}`);
  }
}

function* tensorsIn(name, value) {
  if (typeof value !== "object" || value === null) return;
  if ("dtype" in value) yield [name, value];
  else for (const [key, each] of Object.entries(value)) yield* tensorsIn(`${name}/${key}`, each);
}

const deep = () => {
  const blocks = Array.from({ length: 16 }, () => nn.transformerEncoderLayer(16, 2, { feedForward: 32 }));
  return nn.model(nn.sequential(...blocks, nn.linear(16, 4)), { seed: 1, input: { x: ["N", 8, 16] } });
};

/** How long it took, and the longest time for which the page was blocked, both in milliseconds. */
async function watched(action) {
  let [last, longest] = [performance.now(), 0];
  const began = last;
  const tick = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(tick, 5);
  const result = await action();
  const took = performance.now() - began;
  await new Promise((resolve) => setTimeout(resolve, 10));
  clearInterval(timer);
  return { result, took, longest };
}

/** While a worker compiles a large model, the page responds; it responds less while it compiles the model itself. */
async function pageStaysFree() {
  const model = deep();
  const options = { loss, want: { norms: want.norms(), sum: want.clippedSum({ maxNorm: 1 }) } };
  const there = await watched(() => perSample(model, { ...options, workers: true }));
  await there.result.release();
  const here = await watched(() => perSample(model, options));
  await here.result.release();
  const told = [there, here].map(({ took, longest }) => `${Math.round(longest)} of ${Math.round(took)} ms`);
  require(here.longest > here.took / 2, `the page, compiling, was busy for ${told[1]}`);
  require(there.longest < there.took / 3, `the page was busy for ${told[0]}`);
  return `busy for ${told[0]} at a time where a worker compiles, for ${told[1]} where the page does`;
}

/** A signal ends a compile at once, and the worker with it. */
async function abortedCompiles() {
  const model = deep();
  const options = { loss, want: { norms: want.norms() } };
  const pool = workers();
  const before = performance.now();
  const program = await perSample(model, { ...options, workers: pool });
  const whole = performance.now() - before;
  await program.release();
  for (const given of [true, 2, pool]) {
    const controller = new AbortController();
    const began = performance.now();
    setTimeout(() => controller.abort(new Error("enough")), whole / 4);
    const code = await codeOf(() => perSample(model, { ...options, workers: given, signal: controller.signal }));
    require(code === "Error: enough", `it threw ${code}`);
    require(performance.now() - began < (3 * whole) / 4, `it took ${performance.now() - began} ms, of ${whole} ms`);
  }
  // If the thread holds another program, the compile is abandoned and the program stays.
  const held = await perSample(network(), { loss, want: wants, workers: pool });
  const late = new AbortController();
  const began = performance.now();
  setTimeout(() => late.abort(new Error("enough")), whole / 4);
  const code = await codeOf(() => perSample(model, { ...options, workers: pool, signal: late.signal }));
  require(code === "Error: enough" && performance.now() - began < (3 * whole) / 4, `beside another program: ${code}`);
  require((await held.run(data())).norms.total.data.every((norm) => norm > 0), "the other program is gone");
  await held.release();
  // The pool still works.
  const again = await perSample(network(), { loss, want: wants, workers: pool });
  require((await again.run(data())).norms.total.data.every((norm) => norm > 0), "the pool is of no use any more");
  await pool.release();
}

const stages = ["traced", "objective", "gradient", "planned", "optimised", "lowered", "scheduled", "loaded"];

/** A compile reports its stages, in the page and in workers; in the page, a signal ends it between two stages. */
async function toldStages() {
  const model = network();
  const pool = workers();
  for (const given of [false, true, 2, pool]) {
    const told = [];
    const onCompile = (progress) => told.push(progress);
    const program = await perSample(model, { loss, want: wants, workers: given, onCompile });
    require(told.map(({ stage }) => stage).join() === stages.join(), `it told of ${told.map(({ stage }) => stage)}`);
    require(told.every(({ done, total }, k) => done === k + 1 && total === stages.length), "the numbers of stages");
    await program.release();
  }
  await pool.release();
  const controller = new AbortController();
  const told = [];
  const onCompile = ({ stage }) => {
    told.push(stage);
    // A task of its own, like a click.
    if (stage === "gradient") setTimeout(() => controller.abort(new Error("enough")));
  };
  const code = await codeOf(() => perSample(model, { loss, want: wants, signal: controller.signal, onCompile }));
  require(code === "Error: enough", `it threw ${code}`);
  require(!told.includes("scheduled"), `it came to ${told}`);
}

/** A model that a worker reads equals the model that the page reads; a signal ends the reading too. */
async function readInWorkers(id) {
  const address = `/${id}/model.onnx`;
  const bytes = new Uint8Array(await (await fetch(address)).arrayBuffer());
  const here = await loadModel(bytes);
  const program = await perSample(here, { loss, want: { norms: want.norms() } });
  const pool = workers();
  const sources = { bytes, blob: new Blob([bytes]), address, answer: await fetch(address) };
  for (const [kind, source] of Object.entries(sources)) {
    const there = await loadModel(source, { workers: kind === "blob" ? pool : true });
    require(bytes.length > 0, "the bytes were taken away");
    for (const key of ["sampleAxes", "notes", "leftOut", "constants"])
      require(JSON.stringify(there[key]) === JSON.stringify(here[key]), `${kind}: other ${key}`);
    requireSame(there.parameters, here.parameters, `${kind}: parameters`);
    const again = await perSample(there, { loss, want: { norms: want.norms() }, workers: pool });
    require(again.graph() === program.graph(), `${kind}: another program`);
    await again.release();
  }
  for (const given of [true, pool]) {
    require((await codeOf(() => loadModel(new Blob(["no model"]), { workers: given }))) ===
      "NOT_ONNX", "an error of the worker's");
    const controller = new AbortController();
    const reading = codeOf(() => loadModel(bytes, { workers: given, signal: controller.signal }));
    controller.abort(new Error("enough"));
    require((await reading) === "Error: enough", `an aborted reading: ${await reading}`);
  }
  require((await codeOf(() => loadModel(bytes, { workers: true, samples: 3 }))) ===
    "INVALID_ARGUMENT", "misspelt options");
  await program.release();
  await pool.release();
}

/** If no worker can be started, the page does the work, with a warning. */
async function withoutWorkers() {
  const { Worker } = globalThis;
  const { warn } = console;
  const warnings = [];
  try {
    globalThis.Worker = undefined;
    console.warn = (message) => warnings.push(message);
    const program = await perSample(network(), { loss, want: wants, workers: true });
    require((await program.run(data())).norms.total.data.every((norm) => norm > 0), "it does not run");
    require(/in the page's own thread/.test(warnings.join()), `it warned "${warnings}"`);
    require(/in the page's own thread/.test(String(program.explain())), "explain does not tell");
    await program.release();
    require((await codeOf(async () => workers())) === "RUNTIME", "a pool without workers");
  } finally {
    Object.assign(globalThis, { Worker });
    console.warn = warn;
  }
}

/** The tensors of a safetensors file, which holds the length of the header in eight bytes, the header, and the data. */
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

/** The largest difference between the results of a served model and the served results, relative to the largest number. */
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

/** The largest difference, relative to the largest number. */
function difference(found, expected) {
  let [largest, most] = [1e-30, 0];
  for (let k = 0; k < expected.length; k++) {
    largest = Math.max(largest, Math.abs(expected[k]));
    const off = Math.abs(expected[k] - found[k]);
    most = off <= most ? most : off;
  }
  return most / largest;
}

globalThis.pergradTest = {
  smoke,
  inWorkers,
  compiledInWorkers,
  pageStaysFree,
  abortedCompiles,
  toldStages,
  readInWorkers,
  withoutWorkers,
  ofModel,
};
