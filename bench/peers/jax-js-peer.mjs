// jax-js as a peer: see protocol.py. Each use of an array consumes it, except through `.ref`.
import { requirePeer, serve, versionsOf } from "./protocol.mjs";

const jax = requirePeer("@jax-js/jax");
const { numpy: np, lax, nn } = jax;
const maxNorm = 1;

await jax.init("wasm");
jax.defaultDevice("wasm");

/** x [N, inputs] */
const linear = (x, weight, bias) => np.add(np.matmul(x, np.transpose(weight)), bias);

function perceptron(p, x) {
  for (let k = 0; k < p.length; k += 2) {
    x = linear(x, p[k], p[k + 1]);
    if (k + 2 < p.length) x = nn.relu(x);
  }
  return x;
}

/** x [N, channels, height, width] */
function conv(x, weight, bias, stride, padding) {
  const pads = [
    [padding, padding],
    [padding, padding],
  ];
  const y = lax.convGeneralDilated(x, weight, [stride, stride], pads);
  return nn.relu(np.add(y, np.reshape(bias, [1, -1, 1, 1])));
}

const maxPool = (x) => lax.reduceWindow(x, np.max, [1, 1, 2, 2], [1, 1, 1, 1]);
const averagePool = (x) => lax.reduceWindow(x, np.mean, [1, 1, 2, 2], [1, 1, 2, 2]);

function mnistCnn(p, x) {
  let y = maxPool(conv(x, p[0], p[1], 2, 3));
  y = maxPool(conv(y, p[2], p[3], 2, 0));
  return perceptron(p.slice(4), np.reshape(y, [y.shape[0], -1]));
}

function cifarCnn(p, x) {
  let y = x;
  for (let k = 0; k < 8; k += 2) {
    y = conv(y, p[k], p[k + 1], 1, 1);
    y = k < 6 ? averagePool(y) : np.mean(y, [2, 3]);
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

const classes = { tiny: 2 };

/** The mean over a batch; target [N, classes] is 1 at the label. */
function loss(network) {
  return (p, x, target) => {
    const samples = x.shape[0];
    return np.divide(np.sum(np.multiply(nn.logSoftmax(network(p, x)), target)).neg(), samples);
  };
}

function norms(gradients) {
  const squares = gradients.map((g) => np.sum(np.square(np.reshape(g.ref, [g.shape[0], -1])), 1));
  return np.sqrt(squares.reduce((a, b) => np.add(a, b)));
}

async function content(array) {
  const { shape } = array;
  return { shape: [...shape], data: await array.data() };
}

function alternatives(workload, parameters, x, target) {
  const network = networks[workload];
  if (!network) throw new Error("jax-js has no scan, and its peer no network of this kind");
  const array = ({ data, shape }) => np.array(data, { shape });
  const p = parameters.map(array);
  const inputs = array(x);
  const width = classes[workload] ?? 10;
  const labels = new Float32Array(target.data.length * width);
  target.data.forEach((label, n) => {
    labels[n * width + label] = 1;
  });
  const targets = np.array(labels, { shape: [target.data.length, width] });
  const ofBatch = jax.grad(loss(network));
  const every = jax.vmap((own, x, y) => ofBatch(own, np.expandDims(x, 0), np.expandDims(y, 0)), [null, 0, 0]);
  const clipped = (own, x, y) => {
    const gradients = every(own, x, y);
    const norm = norms(gradients);
    const factors = np.divide(maxNorm, np.maximum(norm.ref, maxNorm));
    return [norm, ...gradients.map((g) => np.tensordot(factors.ref, g, [[0], [0]]))];
  };
  const maker = (kind, f, split) => ({
    kind,
    make: () => {
      const compiled = jax.jit(f);
      return async () => {
        const found = compiled(
          p.map((each) => each.ref),
          inputs.ref,
          targets.ref,
        );
        await jax.blockUntilReady(found);
        return split(await Promise.all(found.map(content)));
      };
    },
  });
  return {
    "jax-js vmap(grad)": maker("materialised", every, (gradients) => ({ gradients })),
    "jax-js vmap(grad), clipped": maker("clipped", clipped, ([norms, ...gradients]) => ({ norms, gradients })),
    "jax-js mean gradient": maker("mean", ofBatch, (gradients) => ({ gradients })),
  };
}

await serve("jax-js", versionsOf(["@jax-js/jax"]), alternatives);
