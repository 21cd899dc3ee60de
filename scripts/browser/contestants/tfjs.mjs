// Per-sample norms by TensorFlow.js on its WebAssembly backend. It has no vmap, so this is a loop of grads over the samples.
import * as tf from "@tensorflow/tfjs";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { oneHot, tensorsOf } from "./data.mjs";

/** x [N, inputs]; weights are [outputs, inputs] */
const linear = (x, weight, bias) => tf.add(tf.matMul(x, weight, false, true), bias);

function perceptron(p, x) {
  for (let k = 0; k < p.length; k += 2) {
    x = linear(x, p[k], p[k + 1]);
    if (k + 2 < p.length) x = tf.relu(x);
  }
  return x;
}

/** Rows of words [V, width]: the backend lacks the kernel for gather's own gradient, but has the one for scatterND. */
const rowsOf = tf.customGrad((words, rows) => ({
  value: tf.gather(words, rows),
  gradFunc: (dy) => [tf.scatterND(tf.expandDims(rows, 1), dy, words.shape), tf.zerosLike(rows)],
}));

/** x [1, T], the words' numbers; gates in ONNX's order: input, output, forget, cell */
function lstm([words, weight, recurrent, bias, recurrentBias, head, headBias], x) {
  const [positions, width] = [x.shape[1], recurrent.shape[1]];
  const projected = tf.add(linear(rowsOf(words, tf.reshape(x, [positions])), weight, bias), recurrentBias);
  let [h, c] = [tf.zeros([1, width]), tf.zeros([1, width])];
  for (const now of tf.split(projected, positions, 0)) {
    const gates = tf.add(now, tf.matMul(h, recurrent, false, true));
    const [input, output, forget, cell] = tf.split(gates, 4, 1);
    c = tf.add(tf.mul(tf.sigmoid(forget), c), tf.mul(tf.sigmoid(input), tf.tanh(cell)));
    h = tf.mul(tf.sigmoid(output), tf.tanh(c));
  }
  return linear(h, head, headBias);
}

const networks = { mlp: perceptron, lstm };

export async function prepare(id, classes) {
  setWasmPaths("/");
  await tf.setBackend("wasm");
  await tf.ready();
  const network = networks[id];
  if (!network) throw new Error(`There is no network "${id}" written for TensorFlow.js.`);
  const { x, target, parameters } = await tensorsOf(id);
  const array = ({ data, shape }) => tf.tensor(data, shape, data instanceof Int32Array ? "int32" : "float32");
  const p = parameters.map(array);
  const [inputs, targets] = [array(x), array(oneHot(target, classes))];
  const [eachInput, eachTarget] = [inputs, targets].map((tensor) => tf.split(tensor, tensor.shape[0], 0));
  const normOf = (one, y) =>
    tf.tidy(() => {
      const loss = (...own) => tf.neg(tf.sum(tf.mul(tf.logSoftmax(network(own, one)), y)));
      return tf.sqrt(
        tf.addN(
          tf
            .grads(loss)(p)
            .map((each) => tf.sum(tf.square(each))),
        ),
      );
    });
  return {
    "tfjs loop of grads": async () => {
      const norms = eachInput.map((one, n) => normOf(one, eachTarget[n]));
      const stacked = tf.stack(norms);
      const found = await stacked.data();
      tf.dispose([stacked, ...norms]);
      return found;
    },
  };
}
