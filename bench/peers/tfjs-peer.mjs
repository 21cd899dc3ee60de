// TensorFlow.js as a peer: see protocol.py. It has no vmap, so per-sample gradients are a loop. The kernels are those of
// the WebAssembly backend, or those of the JavaScript backend if it lacks one.
import { join } from "node:path";
import { requirePeer, serve, versionsOf } from "./protocol.mjs";

const tf = requirePeer("@tensorflow/tfjs");
const wasm = requirePeer("@tensorflow/tfjs-backend-wasm");
const maxNorm = 1;

wasm.setWasmPaths(`${join(process.argv[2], "node_modules/@tensorflow/tfjs-backend-wasm/dist")}/`);

/** x [N, inputs]; weights are [outputs, inputs] */
const linear = (x, weight, bias) => tf.add(tf.matMul(x, weight, false, true), bias);

function perceptron(p, x) {
  for (let k = 0; k < p.length; k += 2) {
    x = linear(x, p[k], p[k + 1]);
    if (k + 2 < p.length) x = tf.relu(x);
  }
  return x;
}

/** x [N, height, width, channels]; ours are [outputs, channels, height, width] */
function conv(x, weight, bias, stride, padding) {
  const padded = tf.pad(x, [
    [0, 0],
    [padding, padding],
    [padding, padding],
    [0, 0],
  ]);
  return tf.relu(tf.add(tf.conv2d(padded, tf.transpose(weight, [2, 3, 1, 0]), stride, "valid"), bias));
}

const channelsLast = (x) => tf.transpose(x, [0, 2, 3, 1]);

function mnistCnn(p, x) {
  let y = tf.maxPool(conv(channelsLast(x), p[0], p[1], 2, 3), 2, 1, "valid");
  y = tf.maxPool(conv(y, p[2], p[3], 2, 0), 2, 1, "valid");
  return perceptron(p.slice(4), tf.reshape(tf.transpose(y, [0, 3, 1, 2]), [x.shape[0], -1]));
}

function cifarCnn(p, x) {
  let y = channelsLast(x);
  for (let k = 0; k < 8; k += 2) {
    y = conv(y, p[k], p[k + 1], 1, 1);
    y = k < 6 ? tf.avgPool(y, 2, 2, "valid") : tf.mean(y, [1, 2]);
  }
  return linear(y, p[8], p[9]);
}

const networks = {
  mlp: perceptron,
  "mlp-large": perceptron,
  tiny: perceptron,
  "mnist-cnn": mnistCnn,
  "cifar-cnn": cifarCnn,
};

/** The WebAssembly backend, unless it lacks a kernel for the network's gradients. */
async function chooseBackend(tryOut) {
  for (const backend of ["wasm", "cpu"]) {
    await tf.setBackend(backend);
    await tf.ready();
    try {
      tf.tidy(tryOut);
      return backend;
    } catch (error) {
      if (backend === "cpu") throw error;
    }
  }
}

async function alternatives(workload, parameters, x, target) {
  const network = networks[workload];
  if (!network) throw new Error("the tfjs peer has no network of this kind");
  const samples = x.shape[0];
  const width = workload === "tiny" ? 2 : 10;
  const data = () => ({
    p: parameters.map(({ data, shape }) => tf.tensor(data, shape)),
    x: tf.tensor(x.data, x.shape),
    y: tf.cast(tf.oneHot(tf.tensor1d(target.data, "int32"), width), "float32"),
  });
  const loss =
    (x, y) =>
    (...p) =>
      tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(network(p, x)), y), 1)));
  const gradient = (p, x, y) => tf.grads(loss(x, y))(p);
  const one = (tensor, n) => tf.slice(tensor, n, 1);
  const backend = await chooseBackend(() => {
    const { p, x, y } = data();
    return gradient(p, one(x, 0), one(y, 0)).map((each) => each.dataSync());
  });
  const { p, x: inputs, y: targets } = data();

  const mean = () => gradient(p, inputs, targets);
  const clipped = () => {
    let sums = p.map((each) => tf.zerosLike(each));
    const norms = [];
    for (let n = 0; n < samples; n++) {
      const next = tf.tidy(() => {
        const own = gradient(p, one(inputs, n), one(targets, n));
        const norm = tf.sqrt(tf.addN(own.map((each) => tf.sum(tf.square(each)))));
        const factor = tf.div(maxNorm, tf.maximum(norm, maxNorm));
        return [norm, ...own.map((each, k) => tf.add(sums[k], tf.mul(each, factor)))];
      });
      for (const sum of sums) sum.dispose();
      norms.push(next[0]);
      sums = next.slice(1);
    }
    return { norms: tf.stack(norms), gradients: sums };
  };
  const content = (tensor) => ({ shape: tensor.shape, data: Float32Array.from(tensor.dataSync()) });
  const finished = (f, read) => async () => {
    tf.engine().startScope();
    try {
      return read(f());
    } finally {
      tf.engine().endScope();
    }
  };
  return {
    [`tfjs (${backend}) mean gradient`]: {
      kind: "mean",
      make: () => finished(mean, (gradients) => ({ gradients: gradients.map(content) })),
    },
    [`tfjs (${backend}) loop, clipped`]: {
      kind: "clipped",
      make: () =>
        finished(clipped, ({ norms, gradients }) => ({ norms: content(norms), gradients: gradients.map(content) })),
    },
  };
}

await serve("tfjs", versionsOf(["@tensorflow/tfjs"]), alternatives);
