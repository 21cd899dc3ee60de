// Per-sample norms by jax-js on its WebAssembly backend: vmap(grad), and a loop of grad, both compiled by its jit. Each use
// of an array consumes it, except through `.ref`. jax-js has no scan, so the LSTM's steps are unrolled.
import * as jax from "@jax-js/jax";
import { oneHot, tensorsOf } from "./data.mjs";

const { numpy: np, nn } = jax;

/** x [N, inputs]; weights are [outputs, inputs] */
const linear = (x, weight, bias) => np.add(np.matmul(x, np.transpose(weight)), bias);

function perceptron(p, x) {
  for (let k = 0; k < p.length; k += 2) {
    x = linear(x, p[k], p[k + 1]);
    if (k + 2 < p.length) x = nn.relu(x);
  }
  return x;
}

/** x [1, T, I], the words' vectors; gates in ONNX's order: input, output, forget, cell */
function lstm([weight, recurrent, bias, recurrentBias, head, headBias], x) {
  const [, positions, inputs] = x.shape;
  const width = recurrent.shape[1];
  const projected = np.add(linear(np.reshape(x, [positions, inputs]), weight, bias), recurrentBias);
  const back = np.transpose(recurrent);
  let [h, c] = [np.zeros([1, width]), np.zeros([1, width])];
  for (const now of np.split(projected, positions, 0)) {
    const gates = np.add(now, np.matmul(h, back.ref));
    const [input, output, forget, cell] = np.split(gates, 4, 1);
    c = np.add(np.multiply(nn.sigmoid(forget), c), np.multiply(nn.sigmoid(input), np.tanh(cell)));
    h = np.multiply(nn.sigmoid(output), np.tanh(c.ref));
  }
  c.dispose();
  back.dispose();
  return linear(h, head, headBias);
}

/** Networks whose first parameter is the table of words [V, I]; x holds the words' numbers. */
const ofWords = { lstm };
const networks = { mlp: perceptron };

/** [N]: sums over all axes except the first, over all gradients. */
const squares = (gradients) =>
  gradients.map((g) => np.sum(np.square(np.reshape(g, [g.shape[0], -1])), 1)).reduce((a, b) => np.add(a, b));

const lossOf = (network) => (own, one, y) =>
  np.sum(np.multiply(nn.logSoftmax(network(own, np.expandDims(one, 0))), y)).neg();

/** Squares of the samples' norms, from parameters, x and y; samples are the first axis of each. */
function ofNumbers(network) {
  const every = jax.vmap(jax.grad(lossOf(network)), [null, 0, 0]);
  return jax.jit((own, x, y) => squares(every(own, x, y)));
}

/**
 * The same for words. Its jit refuses the scatter that is the gradient of a table lookup, so that part runs outside: the
 * gradients with respect to the words' vectors are computed inside, and from them those with respect to the table.
 */
function ofWordNumbers(network) {
  const every = jax.vmap(
    jax.grad(([vectors, ...own], y) => lossOf(network)(own, vectors, y)),
    [[0, null, null, null, null, null, null], 0],
  );
  const rest = jax.jit((vectors, own, y) => {
    const [byVectors, ...others] = every([vectors, ...own], y);
    return [byVectors, squares(others)];
  });
  const byWords = jax.vmap(
    (words, one, cotangent) => {
      const [vectors, transposed] = jax.vjp((table) => np.take(table, one, 0), [words]);
      vectors.dispose();
      return transposed(cotangent)[0];
    },
    [null, 0, 0],
  );
  return ([words, ...own], x, y) => {
    const [byVectors, others] = rest(np.take(words.ref, x.ref, 0), own, y);
    return np.add(others, squares([byWords(words, x, byVectors)]));
  };
}

export async function prepare(id, classes) {
  await jax.init("wasm");
  jax.defaultDevice("wasm");
  const ofSamples = id in ofWords ? ofWordNumbers(ofWords[id]) : id in networks ? ofNumbers(networks[id]) : undefined;
  if (!ofSamples) throw new Error(`There is no network "${id}" written for jax-js.`);
  const { x, target, parameters } = await tensorsOf(id);
  const array = ({ data, shape }) =>
    np.array(data, { shape, dtype: data instanceof Int32Array ? np.int32 : np.float32 });
  const p = parameters.map(array);
  const [inputs, targets] = [array(x), array(oneHot(target, classes))];
  const samples = inputs.shape[0];
  const [eachInput, eachTarget] = [inputs, targets].map((tensor) => np.split(tensor.ref, samples, 0));
  const own = () => p.map((each) => each.ref);
  return {
    "jax-js vmap(grad)": () => np.sqrt(ofSamples(own(), inputs.ref, targets.ref)).data(),
    "jax-js loop of grad": async () => {
      const norms = eachInput.map((one, n) => np.sqrt(ofSamples(own(), one.ref, eachTarget[n].ref)));
      return (await Promise.all(norms.map((norm) => norm.data()))).flatMap((norm) => [...norm]);
    },
  };
}
